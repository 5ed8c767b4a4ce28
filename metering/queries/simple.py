"""The simple query language: items of field, operator, value and type, all of which must hold.

    q.field=resource_id&q.op=eq&q.value=r1&q.field=timestamp&q.op=gt&q.value=2013-07-03T13:34:17

``pair_items`` puts parallel parameters together, ``build_filter`` checks items and makes a SampleFilter of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from .errors import InvalidInput, QueryError, UnknownArgument, shorten
from .filters import MetadataMatch, SampleFilter, TimeBound, metadata_paths
from .values import metadata_candidates, parse_integer, parse_timestamp

__all__ = [
    "METER_FIELDS",
    "RESOURCE_FIELDS",
    "SAMPLE_FIELDS",
    "QueryItem",
    "build_filter",
    "named_projects",
    "pair_items",
]

METER_FIELDS = frozenset({"user", "project", "resource", "source"})
RESOURCE_FIELDS = METER_FIELDS | {"timestamp", "search_offset"}
SAMPLE_FIELDS = RESOURCE_FIELDS | {"meter", "message_id"}

_ALIASES = {"user_id": "user", "project_id": "project", "resource_id": "resource"}
_METADATA_PREFIXES = ("metadata.", "resource_metadata.")
_TIME_OPERATORS = ("lt", "le", "gt", "ge")
_PARTS = ("field", "op", "value", "type")


@dataclass(frozen=True, slots=True)
class QueryItem:
    """One condition as it was sent. ``type`` is None when none was sent, which error texts tell from an empty one."""

    field: str
    op: str
    value: str
    type: str | None = None

    @property
    def name(self) -> str:
        """The field without its alias."""
        return _ALIASES.get(self.field, self.field)

    def __repr__(self) -> str:
        shown_type = "Unset" if self.type is None else self.type
        return f"<Query {shorten(self.field)!r} {self.op} {shorten(self.value)!r} {shown_type}>"


def pair_items(parameters: Iterable[tuple[str, str]]) -> list[QueryItem]:
    """Items from ``(part, text)`` in the order of the URL, part being field, op, value or type.

    Parts pair by position. Where operators or types are left out of some items, and every item was written together
    (field first), each belongs to the item it was written in; else given ones go to the first items. Raises QueryError when
    fields and values differ in number, or a part is given more often than fields are.
    """
    sent = list(parameters)
    columns: dict[str, list[str]] = {part: [text for name, text in sent if name == part] for part in _PARTS}
    count = len(columns["field"])
    if len(columns["value"]) != count:
        raise QueryError(
            f"q.field was given {count} times and q.value {len(columns['value'])} times: expected one value for each field",
            value=(columns["field"] + columns["value"])[-1],
        )
    for part in ("op", "type"):
        if len(columns[part]) > count:
            raise QueryError(
                f"q.{part} was given {len(columns[part])} times for {count} fields", value=columns[part][-1]
            )
    together = _written_together(sent)
    if together is not None and any(0 < len(columns[part]) < count for part in ("op", "type")):
        return [_item(parts) for parts in together]
    return [
        _item({part: texts[position] for part, texts in columns.items() if position < len(texts)})
        for position in range(count)
    ]


def _written_together(sent: Sequence[tuple[str, str]]) -> list[dict[str, str]] | None:
    """The items as groups that begin with their field; None when the parameters do not stand so."""
    groups: list[dict[str, str]] = []
    for part, text in sent:
        if part == "field":
            groups.append({})
        if not groups or part in groups[-1]:
            return None
        groups[-1][part] = text
    return groups if all("value" in group for group in groups) else None


def _item(parts: dict[str, str]) -> QueryItem:
    return QueryItem(parts["field"], parts.get("op") or "eq", parts["value"], parts.get("type"))


def named_projects(items: Iterable[QueryItem]) -> list[str]:
    """Every project that the items name, for the check whether the caller may ask about it."""
    return [item.value for item in items if item.name == "project"]


def build_filter(items: Sequence[QueryItem], *, fields: frozenset[str]) -> SampleFilter:
    """Check the items against the fields of an endpoint. Of a field given twice the last one counts. Raises QueryError."""
    for item in items:
        _check_field(item, items=items, fields=fields)
    for item in items:
        _check_operator(item)
    last = {item.name: item for item in items if not _metadata_key(item.name)}
    equal = {name: item.value for name, item in last.items() if name not in {"timestamp", "search_offset"}}
    metadata = {key: item for item in items if (key := _metadata_key(item.name))}
    lower, upper = _time_bounds(items)
    offset = _search_offset(last.get("search_offset"), has_timestamp="timestamp" in last)
    return SampleFilter(
        **equal,
        lower=_moved(lower, -offset),
        upper=_moved(upper, offset),
        lower_asked=lower.at if lower else None,
        upper_asked=upper.at if upper else None,
        metadata=tuple(
            MetadataMatch(metadata_paths(key), metadata_candidates(item.value, item.type))
            for key, item in metadata.items()
        ),
    )


def _metadata_key(name: str) -> str:
    for prefix in _METADATA_PREFIXES:
        if name.startswith(prefix):
            return name.removeprefix(prefix)
    return ""


def _check_field(item: QueryItem, *, items: Sequence[QueryItem], fields: frozenset[str]) -> None:
    if item.name in fields or _metadata_key(item.name):
        return
    if item.name == "timestamp":
        raise UnknownArgument("timestamp", "not valid for this resource")
    shown = list(items) if len(items) <= 20 else [*items[:20], "…"]
    raise UnknownArgument(item.field, f"unrecognized field in query: {shown}, valid keys: {sorted(fields)}")


def _check_operator(item: QueryItem) -> None:
    allowed = _TIME_OPERATORS if item.name == "timestamp" else ("eq",)
    if item.op not in allowed:
        raise InvalidInput("op", item.op, f"unimplemented operator for {item.field}")


def _time_bounds(items: Iterable[QueryItem]) -> tuple[TimeBound | None, TimeBound | None]:
    """The last lower and the last upper bound; empty text is no bound."""
    bounds: dict[str, TimeBound | None] = {"lower": None, "upper": None}
    for item in items:
        if item.name == "timestamp" and item.value:
            end = "lower" if item.op.startswith("g") else "upper"
            bounds[end] = TimeBound(parse_timestamp(item.value), inclusive=item.op.endswith("e"))
    return bounds["lower"], bounds["upper"]


def _search_offset(item: QueryItem | None, *, has_timestamp: bool) -> timedelta:
    if item is None:
        return timedelta(0)
    if not has_timestamp:
        raise InvalidInput("field", "search_offset", "search_offset cannot be used without timestamp")
    try:
        return timedelta(minutes=parse_integer("search_offset", item.value))
    except OverflowError as error:
        raise InvalidInput("search_offset", item.value, "expected a number of minutes") from error


def _moved(bound: TimeBound | None, by: timedelta) -> TimeBound | None:
    if bound is None or not by:
        return bound
    try:
        at: datetime = bound.at + by
    except OverflowError as error:
        raise InvalidInput("search_offset", by, "moves the bound out of the calendar") from error
    return TimeBound(at, bound.inclusive)
