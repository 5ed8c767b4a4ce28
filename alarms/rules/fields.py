"""The fields of an object that was sent, read one by one: each of its type, within its bounds, or its default where it is missing.

``null`` means left out. Errors are BadRule, in the words of Ceilometer.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from .contract import BadRule, shorten

__all__ = ["COMPARISONS", "MAX_PERIODS", "MAX_SECONDS", "Fields"]

COMPARISONS = ("lt", "le", "eq", "ne", "ge", "gt")
# Windows past these overflow, or ask the store for more than one alarm is worth.
MAX_PERIODS = 100
MAX_SECONDS = 31_536_000
_MOST_CHARACTERS = 255
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})


@dataclass(frozen=True, slots=True)
class Fields:
    """An object whose keys are all known. ``path`` is where it stands, such as ``data.threshold_rule``."""

    body: Mapping[str, Any]
    path: str

    @classmethod
    def of(cls, body: Any, *, path: str, known: Collection[str]) -> Fields:
        """Raises BadRule for what is no object, and for keys that are not known."""
        name = path.rpartition(".")[2]
        if not isinstance(body, Mapping):
            raise BadRule.of_field(name, body, "Wrong type. Expected an object.")
        for key in body:
            if key not in known:
                raise BadRule(f"Unknown attribute for argument {path}: {shorten(key)}", value=key)
        return cls(body, path)

    def has(self, name: str) -> bool:
        return self.body.get(name) is not None

    def required(self, name: str) -> Any:
        if not self.has(name):
            raise BadRule.of_field(name, None, "Mandatory field missing.")
        return self.body[name]

    def text(
        self, name: str, default: str | None = None, *, most: int = _MOST_CHARACTERS, may_be_empty: bool = False
    ) -> str:
        """Without a default the field is mandatory."""
        if default is not None and not self.has(name):
            return default
        value = self.required(name)
        if not isinstance(value, str):
            raise BadRule.of_field(name, value, f"Wrong type. Expected text, got {type(value).__name__}.")
        if not value and not may_be_empty:
            raise BadRule.of_field(name, value, "expected text that is not empty")
        if len(value) > most:
            raise BadRule.of_field(name, value, f"expected at most {most} characters, got {len(value)}")
        return value

    def choice(self, name: str, allowed: Sequence[str], default: str | None = None) -> str:
        value = default if default is not None and not self.has(name) else self.required(name)
        if value not in allowed:
            raise BadRule.of_field(name, value, f"Value should be one of: {', '.join(allowed)}")
        return str(value)

    def integer(self, name: str, default: int | None = None, *, least: int, most: int) -> int:
        """A whole number, or text of one."""
        value = default if default is not None and not self.has(name) else self.required(name)
        number = _integer(value)
        if number is None:
            raise BadRule.of_field(name, value, "unable to convert to int. Expected a whole number.")
        if number < least:
            raise BadRule.of_field(name, value, f"Value should be greater or equal to {least}")
        if number > most:
            raise BadRule.of_field(name, value, f"Value should be lower or equal to {most}")
        return number

    def number(self, name: str) -> float:
        """A mandatory finite number, or text of one: ``Decimal(repr(number))`` is exactly what was sent."""
        value = self.required(name)
        number = _number(value)
        if number is None:
            raise BadRule.of_field(name, value, "Wrong type. Expected a finite number.")
        if Decimal(repr(float(number))) != number:
            raise BadRule.of_field(name, value, "expected a number of at most 15 significant digits, below 1e308")
        return float(number)

    def boolean(self, name: str, default: bool) -> bool:
        """True and false, 1 and 0, and the usual words."""
        value = self.body.get(name, default)
        word = str(value).lower() if isinstance(value, str | int) else ""
        if word not in _TRUE | _FALSE:
            allowed = ", ".join(f"'{shown}'" for shown in sorted(_TRUE | _FALSE))
            raise BadRule.of_field(
                name, value, f"Value not an unambiguous boolean: {shorten(value)}. Accepted: {allowed}"
            )
        return word in _TRUE

    def entries(self, name: str, *, most: int) -> list[Any]:
        """A list; empty when it is left out."""
        value = self.body.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise BadRule.of_field(name, value, f"Wrong type. Expected a list, got {type(value).__name__}.")
        if len(value) > most:
            raise BadRule.of_field(name, f"a list of {len(value)}", f"expected at most {most} entries")
        return value


def _integer(value: Any) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    # Some programs write 60.0.
    number = _number(value)
    return int(number) if number is not None and abs(number.adjusted()) < 20 and number == int(number) else None


def _number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        return None
    # Beyond some thousand digits Python refuses to write them.
    if isinstance(value, int) and value.bit_length() > 2000:
        return None
    try:
        number = Decimal(str(value).strip())
        float(number)
    except (InvalidOperation, OverflowError, ValueError):
        return None
    return number if number.is_finite() and abs(number) < Decimal("1e308") else None
