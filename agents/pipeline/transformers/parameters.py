"""Reading a transformer's parameters so that every mistake is told, with the path to the parameter."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from agents.contract import BadParameters

__all__ = ["Parameters"]

Path = tuple[str, ...]


class Parameters:
    """Parameters as they are read one by one; ``finish`` refuses what is wrong and what nobody asked for.

    What is missing or wrong reads as None (or the default); paths lead into mappings: ``text("target", "name")``.
    """

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = given
        self._known: set[Path] = set()
        self._problems: list[tuple[Path, str]] = []

    def value(self, *path: str) -> Any:
        """Whatever stands there, None where nothing does."""
        self._known.update(path[:length] for length in range(1, len(path) + 1))
        value: Any = self._given
        for key in path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(key)
        return value

    def text(self, *path: str) -> str | None:
        value = self.value(*path)
        if value is None or (isinstance(value, str) and value):
            return value
        return self.refuse(path, f"{value!r:.80}: expected a text")

    def name(self, *path: str) -> str | None:
        """A meter's name or unit."""
        value = self.text(*path)
        if value is not None and len(value) > 255:
            return self.refuse(path, f"{value!r:.80}: expected at most 255 characters")
        return value

    def choice(self, *path: str, options: Sequence[str]) -> str | None:
        value = self.value(*path)
        if value is None or value in options:
            return value
        return self.refuse(path, f"{value!r:.80}: expected one of {', '.join(options)}")

    def flag(self, *path: str) -> bool:
        value = self.value(*path)
        if value is not None and not isinstance(value, bool):
            self.refuse(path, f"{value!r:.80}: expected true or false")
        return value is True

    def whole(self, *path: str, least: int, most: int) -> int | None:
        value = self.value(*path)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        return self.refuse(path, f"{value!r:.80}: expected a whole number from {least} to {most}")

    def number(self, *path: str) -> Decimal | None:
        value = self.value(*path)
        if value is None:
            return None
        if isinstance(value, int | float) and not isinstance(value, bool):
            number = Decimal(repr(value))
            if number.is_finite() and abs(number.adjusted()) <= 64:
                return number
        return self.refuse(path, f"{value!r:.80}: expected a number")

    def pattern(self, *path: str) -> re.Pattern[str] | None:
        value = self.text(*path)
        if value is None:
            return None
        try:
            return re.compile(value)
        except (re.error, RecursionError, OverflowError) as error:
            return self.refuse(path, f"{value!r:.80}: not a regular expression: {error}")

    def refuse(self, path: Path, text: str) -> None:
        """Say what is wrong with the parameter."""
        self._problems.append((path, text))

    def finish(self) -> None:
        """Raise BadParameters if anything was wrong or nobody asked for it."""
        self._refuse_unknown(self._given, ())
        if self._problems:
            raise BadParameters(self._problems)

    def _refuse_unknown(self, mapping: Mapping[str, Any], path: Path) -> None:
        known = sorted(
            {entry[len(path)] for entry in self._known if len(entry) > len(path) and entry[: len(path)] == path}
        )
        for key, value in mapping.items():
            inside = (*path, str(key))
            if inside not in self._known:
                self.refuse(inside, f"unknown parameter; known are {', '.join(known) or 'none'}")
            elif any(entry[: len(inside)] == inside and len(entry) > len(inside) for entry in self._known):
                if isinstance(value, Mapping):
                    self._refuse_unknown(value, inside)
                elif value is not None:
                    self.refuse(inside, f"{value!r:.80}: expected a mapping")
