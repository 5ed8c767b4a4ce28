"""The conditions of a rule: a list of ``{field, op, value, type}``, all of which must hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from .contract import BadRule, shorten
from .fields import COMPARISONS, Fields

__all__ = ["OWNER_FIELDS", "check_convertible", "parse_query", "parse_sample_query"]

MAX_CONDITIONS = 50
_PARTS = ("field", "op", "value", "type")
_TYPES = ("integer", "float", "string", "boolean", "datetime")
OWNER_FIELDS = ("project_id", "project")
_SAMPLE_FIELDS = (*("message_id", "meter", *OWNER_FIELDS, "resource", "resource_id", "source", "user", "user_id"),)
_METADATA = ("metadata.", "resource_metadata.")
_MOST_CHARACTERS = 4096
_INTEGER = re.compile(r"\s*[+-]?\d{1,400}\s*\Z", re.ASCII)


def parse_sample_query(fields: Fields) -> list[dict[str, str]]:
    """The query of a rule on samples (spec §3.1): equality alone. A type that was left out is guessed when samples are compared."""
    return parse_query(fields, _parse_sample_item)


def parse_query(fields: Fields, parse_item: Callable[[Fields], dict[str, str]]) -> list[dict[str, str]]:
    """Each item of the query by itself; one without an operator means ``eq``."""
    path = f"{fields.path}.query"
    items = fields.entries("query", most=MAX_CONDITIONS)
    return [parse_item(Fields.of(item, path=path, known=_PARTS)) for item in items]


def _parse_sample_item(item: Fields) -> dict[str, str]:
    field = item.text("field")
    if field == "timestamp":
        raise BadRule('Unknown argument: "timestamp": not valid for this resource', value=field)
    if field not in _SAMPLE_FIELDS and not any(field.startswith(start) and field != start for start in _METADATA):
        names = ", ".join((*_SAMPLE_FIELDS, "metadata.KEY", "resource_metadata.KEY"))
        raise BadRule(
            f'Unknown argument: "{shorten(field)}": unrecognized field in query, valid keys: {names}', value=field
        )
    operator = read_operator(item)
    if operator != "eq":
        raise BadRule.of_field("op", operator, f"unimplemented operator for {shorten(field)}: expected eq")
    value = item.text("value", most=_MOST_CHARACTERS, may_be_empty=True)
    kind = item.text("type", "", may_be_empty=True)
    check_convertible(value, kind)
    sent_type = {"type": kind} if item.has("type") else {}
    return {"field": field, "op": operator, "value": value, **sent_type}


def read_operator(item: Fields) -> str:
    """Empty or left out: ``eq``."""
    written = item.text("op", "eq", may_be_empty=True) or "eq"
    if written not in COMPARISONS:
        raise BadRule.of_field("op", written, f"Value should be one of: {', '.join(COMPARISONS)}")
    return written


def check_convertible(value: str, kind: str) -> None:
    """Raises BadRule for a type that there is not, and for a value that is not of it. An empty type is none."""
    if not kind:
        return
    if kind not in _TYPES:
        supported = f"The supported data type list is: {list(_TYPES)}"
        raise BadRule(f"The data type {shorten(kind)} is not supported. {supported}", value=kind)
    if not _READERS[kind](value):
        raise BadRule(f"Unable to convert the value {shorten(value)} to the expected data type {kind}.", value=value)


def _is_number(value: str) -> bool:
    try:
        Fields({"value": value}, "").number("value")
    except BadRule:
        return False
    return True


def _is_time(value: str) -> bool:
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True


def _is_boolean(value: str) -> bool:
    try:
        Fields({"value": value.strip()}, "").boolean("value", default=False)
    except BadRule:
        return False
    return True


_READERS: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: True,
    "integer": lambda value: bool(_INTEGER.match(value)),
    "float": _is_number,
    "boolean": _is_boolean,
    "datetime": _is_time,
}
