"""What one event is: something that happened in the cloud at one moment, told by typed traits, with the payload it was made from.

A trait's value travels as text, in one grammar for each type, and is printed as it travelled:

- ``string``: any text;
- ``integer``: ``-?(0|[1-9][0-9]*)``, at most 64 characters, no ``-0``; integers above 2^53 travel unchanged;
- ``float``: Python's shortest text of a finite double (``0.1``, ``1e+16``);
- ``datetime``: UTC without a zone, microseconds only where there are some (``2014-01-01T05:00:00.000005``).
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Annotated, Literal, NamedTuple

import msgspec

from .errors import BadTrait
from .samples import Name

__all__ = ["EMPTY_RAW", "MAX_TRAITS", "TRAIT_TYPES", "Event", "Trait", "TraitType", "trait_problem", "trait_text"]

TraitType = Literal["string", "integer", "float", "datetime"]
TRAIT_TYPES: tuple[TraitType, ...] = ("string", "integer", "float", "datetime")
MAX_TRAITS = 500
EMPTY_RAW = msgspec.Raw(b"{}")

_MAX_INTEGER_LENGTH = 64
_matches_integer = re.compile(r"(?!-0\Z)-?(0|[1-9][0-9]*)\Z").match
_LARGEST = 10**_MAX_INTEGER_LENGTH

Microseconds = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Trait(NamedTuple):
    """One named fact of an event; ``value`` is text made by ``trait_text``."""

    name: Name
    type: TraitType
    value: str


class Event(msgspec.Struct, forbid_unknown_fields=True):
    """One event. ``id`` is the notification's own (its message_id): an event of a source with the same id and time is the same event.

    ``generated`` is in µs since 1970 UTC; ``raw`` is any JSON, byte for byte as it shall be given back. Whose it is, its string traits
    ``project_id`` and ``user_id`` say. Each name stands once among the traits; their order is kept.
    """

    id: Name
    type: Name
    source: Name
    generated: Microseconds
    traits: Annotated[list[Trait], msgspec.Meta(max_length=MAX_TRAITS)]
    raw: msgspec.Raw = EMPTY_RAW

    def owner(self) -> tuple[str | None, str | None]:
        """Project and user, None where the event names none."""
        project = user = None
        for name, type, value in self.traits:
            if name == "project_id" and type == "string":
                project = value or None
            elif name == "user_id" and type == "string":
                user = value or None
        return project, user


def trait_text(type: TraitType, value: str | int | float | datetime) -> str:
    """A value as the text that travels, exactly the value given; a time without a zone is UTC.

    Raises BadTrait for what is not of the type.
    """
    text = None
    if type == "string" and isinstance(value, str):
        text = value
    elif type == "integer" and isinstance(value, int) and not isinstance(value, bool) and -_LARGEST < value < _LARGEST:
        text = str(value)
    elif type == "float" and isinstance(value, int | float) and not isinstance(value, bool):
        text = _float_text(value)
    elif type == "datetime" and isinstance(value, datetime):
        text = _datetime_text(value)
    if text is None or trait_problem(Trait("value", type, text)):
        raise BadTrait(f"value {str(value)[:80]!r}: expected a value of the type {type}")
    return text


def trait_problem(trait: Trait) -> str:
    """Why the value is not in the grammar of its type; "" when it is."""
    name, type, value = trait
    if type == "integer":
        good = len(value) <= _MAX_INTEGER_LENGTH and _matches_integer(value) is not None
    elif type == "float":
        good = _is_float_text(value)
    elif type == "datetime":
        good = _is_datetime_text(value)
    else:
        good = True
    return "" if good else f"trait {name!r} has the value {value[:80]!r}: expected text of the type {type}"


def _float_text(value: float) -> str | None:
    try:
        number = float(value)
    except OverflowError:
        return None
    # A negative zero is zero: stores that keep decimals know only one.
    return repr(number if number else 0.0) if math.isfinite(number) else None


def _datetime_text(value: datetime) -> str | None:
    try:
        return (value.astimezone(UTC) if value.tzinfo else value).replace(tzinfo=None).isoformat()
    except OverflowError:
        return None


def _is_float_text(text: str) -> bool:
    try:
        return _float_text(float(text)) == text
    except ValueError:
        return False


def _is_datetime_text(text: str) -> bool:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return False
    return parsed.tzinfo is None and parsed.isoformat() == text
