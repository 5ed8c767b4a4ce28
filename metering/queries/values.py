"""Texts of a request as typed values: whole numbers, times, metadata of a stated or guessed type."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation

from metering.messages import to_microseconds

from .errors import InvalidInput, NotConvertible, QueryError, shorten

__all__ = [
    "METADATA_TYPES",
    "check_text",
    "is_true",
    "metadata_candidates",
    "parse_integer",
    "parse_number",
    "parse_timestamp",
    "read_time",
    "trait_candidates",
]

TRAIT_TYPES = ("integer", "float", "string", "datetime")
METADATA_TYPES = ("integer", "float", "string", "boolean", "datetime")
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})
# jsonb holds larger numbers than any metadata has; beyond this they are refused before the store sees them.
_LARGEST_EXPONENT = 400
_ISO = re.compile(
    r"""(?P<year>\d{4})
        (?:-(?P<month>\d{2})(?:-(?P<day>\d{2}))?|(?P<month_>\d{2})(?P<day_>\d{2}))?
        (?:[T\ ](?P<hour>\d{2})(?::?(?P<minute>\d{2})(?::?(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,12}))?)?)?
           (?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?)?\Z""",
    re.VERBOSE | re.ASCII,
)
_INTEGER = re.compile(r"[+-]?\d{1,400}\Z", re.ASCII)
_FLOAT = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][+-]?\d+)?\Z", re.ASCII)
_QUOTED = re.compile(r"""(?P<quote>['"])(?P<text>[^'"\\]*)(?P=quote)\Z""")


def check_text(name: str, text: str) -> str:
    """The text itself, if the store can hold it: no NUL character, nothing that is not Unicode. Raises InvalidInput."""
    if "\x00" in text:
        raise InvalidInput(name, text.replace("\x00", "\\0"), "expected text without the character NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InvalidInput(name, ascii(text), "expected Unicode text: it holds half of a surrogate pair") from None
    return text


def is_true(text: str) -> bool:
    """The lenient reading of Boolean arguments: the usual words are true, anything else is false."""
    return text.strip().lower() in _TRUE


def parse_integer(name: str, text: str) -> int:
    """A whole number as Python writes it. Raises InvalidInput."""
    try:
        return int(text)
    except ValueError as error:
        reason = str(error) if len(text) < 200 else "too many digits"
        raise InvalidInput(name, text, f"unable to convert to int. Error: {reason}") from error


def parse_number(text: str) -> Decimal | None:
    """A finite number that can be compared with stored ones; None for any other text."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    usable = number.is_finite() and abs(number.adjusted()) <= _LARGEST_EXPONENT and len(text) <= _LARGEST_EXPONENT
    return number if usable else None


def parse_timestamp(text: str) -> datetime:
    """An ISO 8601 date or time as an aware time in UTC; a given offset is applied, none means UTC. Raises InvalidInput."""
    match = _ISO.match(text)
    if match:
        try:
            return _to_utc(match)
        except (ValueError, OverflowError):
            pass
    raise InvalidInput("timestamp", text, "invalid timestamp format")


def _to_utc(match: re.Match[str]) -> datetime:
    part = match.groupdict()
    if part["hour"] and not (part["day"] or part["day_"]):
        raise ValueError("a time of day needs a day")
    local = datetime(
        int(part["year"]),
        int(part["month"] or part["month_"] or 1),
        int(part["day"] or part["day_"] or 1),
        int(part["hour"] or 0),
        int(part["minute"] or 0),
        int(part["second"] or 0),
        int((part["fraction"] or "0").ljust(6, "0")[:6]),
        tzinfo=_zone(part["zone"]),
    )
    return local.astimezone(UTC)


def _zone(text: str | None) -> timezone:
    if text in {None, "Z"}:
        return UTC
    assert text is not None
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if minutes > 59:
        raise ValueError("an hour has 60 minutes")
    offset = timedelta(hours=hours, minutes=minutes)
    return timezone(-offset if text[0] == "-" else offset)


def read_time(text: str) -> datetime:
    """An aware time as programs print it. Raises ValueError."""
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at


def metadata_candidates(value: str, type_name: str | None) -> tuple[str, ...]:
    """The JSON texts that a stored metadata value may equal to match ``value``.

    Without a type the value is read as a number, ``True``, ``False``, ``None`` or quoted text where it looks like one, and
    matches the same text as well. Raises QueryError for an unknown type, NotConvertible for a value that is not of it.
    """
    if not type_name:
        return _guess(value)
    if type_name not in METADATA_TYPES:
        raise QueryError(
            f"The data type {type_name} is not supported. The supported data type list is: {list(METADATA_TYPES)}",
            value=type_name,
        )
    if type_name == "string":
        return (_json_text(value),)
    if type_name == "boolean":
        return (_boolean(value),)
    if type_name == "datetime":
        return _datetime_forms(value)
    return (_number(value, type_name),)


def trait_candidates(value: str, type_name: str | None) -> tuple[tuple[str, str], ...]:
    """What an event's trait may be compared with: pairs of a trait's type and the value as JSON text, datetimes as µs since 1970.

    Without a type the value stands for every type that it can be read as. Raises QueryError for an unknown type, NotConvertible for a
    value that is not of it.
    """
    if type_name:
        if type_name not in TRAIT_TYPES:
            raise QueryError(
                f"The data type {shorten(type_name)} is not supported. The supported data type list is: {list(TRAIT_TYPES)}",
                value=type_name,
            )
        return ((type_name, _trait_value(value, type_name)),)
    candidates = [("string", _json_text(value))]
    for kind in ("integer", "float", "datetime"):
        try:
            candidates.append((kind, _trait_value(value, kind)))
        except NotConvertible:
            continue
    return tuple(candidates)


def _trait_value(value: str, type_name: str) -> str:
    if type_name == "string":
        return _json_text(value)
    if type_name == "datetime":
        try:
            return str(to_microseconds(parse_timestamp(value)))
        except InvalidInput as error:
            raise NotConvertible(value, type_name) from error
    return _number(value, type_name)


def _guess(value: str) -> tuple[str, ...]:
    same_text = _json_text(value)
    if _INTEGER.match(value) or _FLOAT.match(value):
        return (_number(value, "float"), same_text)
    literal = {"True": "true", "False": "false", "None": "null"}.get(value)
    if literal:
        return (literal, same_text)
    quoted = _QUOTED.match(value)
    return (_json_text(quoted["text"]), same_text) if quoted else (same_text,)


def _json_text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)


def _boolean(value: str) -> str:
    word = value.strip().lower()
    if word not in _TRUE | _FALSE:
        raise NotConvertible(value, "boolean")
    return "true" if word in _TRUE else "false"


def _number(value: str, type_name: str) -> str:
    stripped = value.strip()
    if type_name == "integer" and not _INTEGER.match(stripped):
        raise NotConvertible(value, type_name)
    number = parse_number(stripped)
    if number is None:
        raise NotConvertible(value, type_name)
    return format(number, "f")


def _datetime_forms(value: str) -> tuple[str, ...]:
    """A time stands in metadata as text: the usual ways to write it in UTC, and the text as it was sent."""
    try:
        at = parse_timestamp(value).replace(tzinfo=None)
    except InvalidInput as error:
        raise NotConvertible(value, "datetime") from error
    forms = {at.isoformat(), at.isoformat(sep=" "), at.isoformat(timespec="microseconds")}
    texts = {value} | {form + zone for form in forms for zone in ("", "Z", "+00:00")}
    return tuple(_json_text(text) for text in sorted(texts))
