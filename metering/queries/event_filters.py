"""The query language of events: items of field, operator, value and type, all of which must hold.

    q.field=event_type&q.op=eq&q.value=image.update&q.field=size&q.op=gt&q.type=integer&q.value=5

Four fields are known; any other name is that of a trait.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from .errors import InvalidInput, QueryError, UnknownArgument, shorten
from .simple import QueryItem
from .values import parse_timestamp, trait_candidates

__all__ = ["EVENT_FIELDS", "EventFilter", "EventScope", "TraitMatch", "build_event_filter"]

OPERATORS = ("lt", "le", "eq", "ne", "ge", "gt")
# The fields that are no traits, each with its only operator.
_FIELDS = {"event_type": "eq", "message_id": "eq", "start_timestamp": "ge", "end_timestamp": "le"}
EVENT_FIELDS = frozenset(_FIELDS)
# What the time of an event is called elsewhere; as traits they would silently match nothing.
_TIME_NAMES = frozenset({"timestamp", "generated"})


@dataclass(frozen=True, slots=True)
class EventScope:
    """Whose events may be seen: those of the projects that are the user's own, or everybody's when ``projects`` is None (operators)."""

    projects: tuple[str, ...] | None
    user: str


@dataclass(frozen=True, slots=True)
class TraitMatch:
    """A trait of this name compares so with any of ``candidates``: pairs of a trait's type and a value as JSON text."""

    name: str
    operator: str
    candidates: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Events that all of this holds for; None means: not asked about. Both times belong to the window."""

    event_type: str | None = None
    message_id: str | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    traits: tuple[TraitMatch, ...] = ()


def build_event_filter(items: Iterable[QueryItem]) -> EventFilter:
    """Check the items. Of a field given twice the last one counts; of traits all count. Raises QueryError."""
    items = list(items)
    for item in items:
        _check_operator(item)
    known = {item.field: item.value for item in items if item.field in _FIELDS}
    return EventFilter(
        event_type=known.get("event_type"),
        message_id=known.get("message_id"),
        start_at=_time("start_timestamp", known.get("start_timestamp")),
        end_at=_time("end_timestamp", known.get("end_timestamp")),
        traits=tuple(
            TraitMatch(item.field, item.op, trait_candidates(item.value, item.type))
            for item in items
            if item.field not in _FIELDS
        ),
    )


def _check_operator(item: QueryItem) -> None:
    if item.op not in OPERATORS:
        raise QueryError(
            f"Operator {shorten(item.op)} is not supported. The supported operators are: {OPERATORS}", value=item.op
        )
    only = _FIELDS.get(item.field, item.op)
    if item.op != only:
        raise QueryError(
            f"Operator {item.op} is not supported. Only `{only}' operator is available for field {item.field}",
            value=item.op,
        )
    if item.field in _TIME_NAMES:
        raise UnknownArgument(item.field, "ask for start_timestamp (op ge) and end_timestamp (op le)")


def _time(field: str, value: str | None) -> datetime | None:
    """None for empty text, which is no bound."""
    if not value:
        return None
    try:
        return parse_timestamp(value)
    except InvalidInput as error:
        raise InvalidInput(field, value, "invalid timestamp format") from error
