"""The complex query language: comparisons joined by and, or, not, as JSON in a text; and what to order the answer by.

    {"and": [{"=": {"meter": "cpu_util"}}, {">": {"volume": 80}}, {"not": {"=": {"metadata.state": "paused"}}}]}
    [{"volume": "asc"}, {"timestamp": "desc"}]

``parse_filter`` and ``parse_order`` check everything that can be checked without the store; ``expressions`` makes SQL of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple

from django.conf import settings

from .errors import FilterError, InvalidInput, OrderError, QueryError, shorten
from .json_text import load_json
from .values import check_text, parse_number, parse_timestamp

__all__ = [
    "FIELDS",
    "METADATA_PREFIX",
    "Comparison",
    "Expression",
    "Junction",
    "Kind",
    "Language",
    "Negation",
    "OrderKey",
    "Value",
    "find_comparisons",
    "named_projects",
    "parse_filter",
    "parse_order",
]

Value = str | bool | Decimal | datetime


class Kind(Enum):
    """What a field's values are, and so what it can be compared with."""

    TEXT = "text"
    NUMBER = "a number"
    TIME = "a time"
    ID = "a message's id"
    BOOLEAN = "true or false"
    # Each value has a type of its own.
    METADATA = "text, a number, true or false"


FIELDS: Mapping[str, Kind] = {
    **dict.fromkeys(("meter", "type", "unit", "user", "project", "resource", "source"), Kind.TEXT),
    **dict.fromkeys(("message_signature", "resource_metadata"), Kind.TEXT),
    "volume": Kind.NUMBER,
    "timestamp": Kind.TIME,
    "recorded_at": Kind.TIME,
    "message_id": Kind.ID,
}
METADATA_PREFIX = "metadata."
_ALIASES = {
    **{f"counter_{name}": name for name in ("type", "unit", "volume")},
    **{f"{name}_id": name for name in ("user", "project", "resource")},
    "counter_name": "meter",
}


@dataclass(frozen=True, slots=True)
class Language:
    """What an endpoint can be asked about: its fields by their names, other names of them, and whether ``metadata.KEY`` is one."""

    fields: Mapping[str, Kind]
    aliases: Mapping[str, str]
    has_metadata: bool = False


SAMPLES = Language(FIELDS, _ALIASES, has_metadata=True)
_SYNONYMS = {"=<": "<=", "=>": ">="}
_COMPARISONS = ("=", "!=", "<", "<=", "=<", ">", ">=", "=>", "=~")
_OPERATORS = ("and", "or", "not", "in", *_COMPARISONS)
_DIRECTION = "(?i)^asc$|^desc$"


@dataclass(frozen=True, slots=True)
class Comparison:
    """A field (without its alias), one of ``= != < <= > >= =~ in``, and what it is compared with: one value but for ``in``."""

    field: str
    operator: str
    values: tuple[Value, ...]

    @property
    def metadata_key(self) -> str:
        """The key that is looked for in metadata; empty for other fields."""
        return self.field.removeprefix(METADATA_PREFIX) if self.field.startswith(METADATA_PREFIX) else ""


@dataclass(frozen=True, slots=True)
class Junction:
    """Two or more expressions that all hold (``and``), or of which one does (``or``)."""

    word: str
    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """An expression that does not hold. One that cannot be decided, for want of a key or an owner, is neither way true."""

    part: Expression


Expression = Comparison | Junction | Negation


class OrderKey(NamedTuple):
    """One of the things to order by, the first deciding."""

    field: str
    descending: bool


def parse_filter(text: str, language: Language = SAMPLES) -> Expression:
    """The expression that the text holds. Raises QueryError for anything else, and beyond the bounds that settings state."""
    most = settings.CELOMETER_API_MAX_FILTER_CHARACTERS
    if len(text) > most:
        raise FilterError(f"it has {len(text)} characters: expected at most {most}", value=text)
    tree = _load(text, error=FilterError)
    parser = _FilterParser(language)
    parsed = parser.parse(tree, depth=1)
    most = settings.CELOMETER_API_MAX_CONDITIONS
    if parser.comparison_count > most:
        raise FilterError(f"it has {parser.comparison_count} comparisons: expected at most {most}", value=text)
    return parsed


def parse_order(text: str, language: Language = SAMPLES) -> tuple[OrderKey, ...]:
    """What to order by; of a field that stands twice the first counts. Raises QueryError."""
    most = settings.CELOMETER_API_MAX_FILTER_CHARACTERS
    if len(text) > most:
        raise OrderError(f"it has {len(text)} characters: expected at most {most}", value=text)
    entries = _load(text, error=OrderError)
    if not isinstance(entries, list):
        raise OrderError(f"{_shown(entries)} is not of type 'array'", value=_shown(entries))
    keys = [_order_key(entry, language) for entry in entries]
    first = {key.field: key for key in reversed(keys)}
    return tuple(first[field] for field in dict.fromkeys(key.field for key in keys))


def find_comparisons(expression: Expression) -> Iterator[Comparison]:
    """Every comparison, from left to right."""
    if isinstance(expression, Comparison):
        yield expression
        return
    for part in expression.parts if isinstance(expression, Junction) else (expression.part,):
        yield from find_comparisons(part)


def named_projects(expression: Expression) -> list[str]:
    """Every project that is compared with, whatever the operator, for the check whether the caller may ask about it."""
    return [str(value) for leaf in find_comparisons(expression) if leaf.field == "project" for value in leaf.values]


class _FilterParser:
    """Goes down the tree and counts what it finds."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.comparison_count = 0

    def parse(self, tree: Any, *, depth: int) -> Expression:
        most = settings.CELOMETER_API_MAX_FILTER_DEPTH
        if depth > most:
            raise FilterError(f"it is nested too deeply: expected at most {most} levels of and, or, not", value=depth)
        if not isinstance(tree, dict) or len(tree) != 1:
            raise _no_schema(tree, "expected an object with one key, an operator")
        ((written, operand),) = tree.items()
        word = written.lower()
        if word in {"and", "or"}:
            if not isinstance(operand, list) or len(operand) < 2:
                raise _no_schema(tree, f"expected a list of two or more expressions for {word}")
            return Junction(word, tuple(self.parse(part, depth=depth + 1) for part in operand))
        if word == "not":
            return Negation(self.parse(operand, depth=depth + 1))
        self.comparison_count += 1
        return _comparison(tree, _SYNONYMS.get(word, word), operand, self.language)


def _comparison(tree: Any, operator: str, operand: Any, language: Language) -> Comparison:
    if operator not in _OPERATORS:
        raise _no_schema(tree, f"expected an operator: one of {' '.join(_OPERATORS)}")
    if not isinstance(operand, dict) or len(operand) != 1:
        raise _no_schema(tree, f"expected an object with one field for {operator}")
    ((written, value),) = operand.items()
    field = language.aliases.get(written, written)
    kind = language.fields.get(field)
    if kind is None and language.has_metadata and field.startswith(METADATA_PREFIX) and field != METADATA_PREFIX:
        kind = Kind.METADATA
    if kind is None:
        names = ", ".join(language.fields) + (", or metadata.KEY" if language.has_metadata else "")
        raise _no_schema(tree, f"{shorten(written)} is no field: expected {names}")
    values = _list_of(tree, value, field, kind) if operator == "in" else [value]
    if operator == "=~":
        _check_pattern(tree, value, kind)
    return Comparison(field, operator, tuple(_value(tree, entry, field, kind) for entry in values))


def _list_of(tree: Any, value: Any, field: str, kind: Kind) -> list[Any]:
    most = settings.CELOMETER_API_MAX_LIST_VALUES
    if kind is Kind.TIME:
        raise _no_schema(tree, f"in is not for {field}: use >= and <")
    if not isinstance(value, list) or not value:
        raise _no_schema(tree, "expected a list of at least one value for in")
    if len(value) > most:
        raise FilterError(f"in has a list of {len(value)} values: expected at most {most}", value=len(value))
    if any(isinstance(entry, bool) for entry in value):
        raise _no_schema(tree, "expected texts or numbers for in")
    return value


def _check_pattern(tree: Any, value: Any, kind: Kind) -> None:
    most = settings.CELOMETER_API_MAX_PATTERN_CHARACTERS
    if kind in {Kind.NUMBER, Kind.TIME, Kind.BOOLEAN} or not isinstance(value, str):
        raise _no_schema(tree, "=~ compares text with a regular expression")
    if len(value) > most:
        raise FilterError(
            f"the regular expression {shorten(value)} has {len(value)} characters: expected at most {most}", value=value
        )


def _value(tree: Any, value: Any, field: str, kind: Kind) -> Value:
    """The value as it is compared. Raises QueryError for one that the field cannot have."""
    if kind is Kind.TIME and isinstance(value, str):
        try:
            return parse_timestamp(value)
        except InvalidInput as error:
            raise QueryError(f"Failed to parse the timestamp value {shorten(value)}", value=value) from error
    if isinstance(value, str) and kind not in {Kind.NUMBER, Kind.BOOLEAN}:
        return value
    if kind in {Kind.NUMBER, Kind.METADATA} and isinstance(value, str | int | Decimal) and not isinstance(value, bool):
        number = parse_number(_number_text(value))
        if number is not None:
            return number
    if kind in {Kind.METADATA, Kind.BOOLEAN} and isinstance(value, bool):
        return value
    raise _no_schema(tree, f"{field} is compared with {kind.value}")


def _number_text(value: str | int | Decimal) -> str:
    # Beyond some thousand digits Python refuses to write them; nothing of that size can be compared with.
    if isinstance(value, int) and value.bit_length() > 2000:
        return "NaN"
    return str(value).strip()


def _order_key(entry: Any, language: Language) -> OrderKey:
    if not isinstance(entry, dict) or len(entry) != 1:
        raise OrderError(f"{_shown(entry)} is not an object with one field and its direction", value=_shown(entry))
    ((written, direction),) = entry.items()
    field = language.aliases.get(written, written)
    if field not in language.fields:
        names = ", ".join(language.fields)
        raise OrderError(
            f"Additional properties are not allowed ('{shorten(written)}' was unexpected): expected {names}",
            value=written,
        )
    if not isinstance(direction, str):
        raise OrderError(f"{_shown(direction)} is not of type 'string': expected asc or desc", value=_shown(direction))
    if not re.match(_DIRECTION, direction) or direction.endswith("\n"):
        raise OrderError(f"'{shorten(direction)}' does not match '{_DIRECTION}'", value=direction)
    return OrderKey(field, descending=direction.lower() == "desc")


def _load(text: str, *, error: type[FilterError | OrderError]) -> Any:
    try:
        tree = load_json(text)
    except ValueError as problem:
        raise error(shorten(problem), value=text) from problem
    _check_tree(tree, error=error)
    return tree


def _check_tree(tree: Any, *, error: type[FilterError | OrderError]) -> None:
    """Level by level: no deeper than any expression can be, and no text in it that the store cannot hold."""
    level, name = [tree], "filter" if error is FilterError else "orderby"
    # Each level of an expression is an object, and a list or a field in it.
    for _ in range(2 * settings.CELOMETER_API_MAX_FILTER_DEPTH + 4):
        below: list[Any] = []
        for value in level:
            if isinstance(value, str):
                check_text(name, value)
            elif isinstance(value, dict):
                below += [*value, *value.values()]
            elif isinstance(value, list):
                below += value
        if not below:
            return
        level = below
    raise error(
        f"it is nested too deeply: expected at most {settings.CELOMETER_API_MAX_FILTER_DEPTH} levels", value=name
    )


def _no_schema(tree: Any, reason: str) -> FilterError:
    # The words are those of the schema checker that programs written for Ceilometer look for.
    return FilterError(f"{_shown(tree)} is not valid under any of the given schemas: {reason}", value=_shown(tree))


def _shown(tree: Any) -> str:
    return shorten(json.dumps(tree, ensure_ascii=False, default=str))
