"""Events as lists and one by one, oldest first; their types and traits. One statement each."""

from __future__ import annotations

import json
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.conf import settings

from metering.messages import TRAIT_TYPES, Trait

from .database import Statement, fetch_all
from .errors import TooManyRows
from .event_filters import EventFilter, EventScope, TraitMatch
from .floors import check_event_floor
from .traits import read_trait, read_traits

__all__ = ["EventRow", "find_event", "list_event_types", "list_events", "list_trait_kinds", "list_traits"]


# Where a page of events or of a trait's values begins: behind the event of this time and id.
Position = tuple[datetime, UUID]


class TraitRow(NamedTuple):
    """A trait of an event, and where the event stands."""

    generated_at: datetime
    id: UUID
    trait: Trait


class EventRow(NamedTuple):
    """An event with its traits in their order. ``raw`` is JSON text as it was signed, None where it is empty or not kept any more."""

    id: UUID
    message_id: str
    event_type: str
    generated_at: datetime
    traits: list[Trait]
    raw: str | None


# Storage order among equal times.
_ORDER = " ORDER BY e.generated_at, e.id"
# Sizes are looked at first: those of one answer are bounded together, and what is beyond stays where it is.
_EVENTS = """
SELECT sized.id, message_id, event_type, generated_at, total, CASE WHEN total <= %s THEN traits END, CASE WHEN total <= %s THEN raw END
FROM (
    SELECT e.id, e.message_id, t.name AS event_type, e.generated_at, e.traits, r.raw,
           sum(octet_length(e.traits) + coalesce(octet_length(r.raw), 0)) OVER (ORDER BY e.generated_at, e.id) AS total
    FROM ({events}) e
    JOIN metering_eventtype t ON t.id = e.event_type_id
    LEFT JOIN metering_eventraw r ON r.generated_at = e.generated_at AND r.id = e.id
) sized ORDER BY generated_at, id"""
_COLUMNS = "e.id, e.message_id, e.event_type_id, e.generated_at, e.traits::text AS traits"
_TYPES = """
SELECT t.name FROM metering_eventtype t
WHERE EXISTS (SELECT FROM metering_event e WHERE e.event_type_id = t.id){after} ORDER BY t.name COLLATE "C" LIMIT %s"""
_KINDS = """
SELECT name, type FROM (
    SELECT k.name, k.type, array_position(%s::text[], k.type::text) AS rank
    FROM metering_traitkind k JOIN metering_eventtype t ON t.id = k.event_type_id WHERE t.name = %s
) kind WHERE true{after} ORDER BY rank, name COLLATE "C" LIMIT %s"""
# Looked for only where events of the type have ever had the trait.
_TRAITS = """
SELECT e.generated_at, e.id, (jsonb_path_query_first(e.traits, %s::jsonpath))::text FROM metering_event e
WHERE e.event_type_id = (
    SELECT t.id FROM metering_eventtype t WHERE t.name = %s
    AND EXISTS (SELECT FROM metering_traitkind k WHERE k.event_type_id = t.id AND k.name = %s))
AND jsonb_path_exists(e.traits, %s::jsonpath){after} ORDER BY e.generated_at, e.id LIMIT %s"""
_SIGNS = {"lt": "<", "le": "<=", "ne": "<>", "ge": ">=", "gt": ">"}


def list_events(wanted: EventFilter, *, scope: EventScope, limit: int, after: Position | None = None) -> list[EventRow]:
    """The oldest matching events, behind ``after`` at most ``limit``; equal times in the order in which they were stored.

    Where there are more, one more row says so; what stands in it may be missing.
    Raises NoLongerKept when the window begins before the time from which events are kept, TooManyRows when traits and payloads together
    come to more than CELOMETER_API_MAX_EVENT_BYTES.
    """
    check_event_floor(wanted.start_at or wanted.end_at)
    events = _select_events(wanted, scope, limit + 1, after)
    most = settings.CELOMETER_API_MAX_EVENT_BYTES
    rows = fetch_all(Statement(_EVENTS.format(events=events.sql), (most, most, *events.parameters)))
    shown = rows[:limit]
    if shown and shown[-1][4] > most:
        raise TooManyRows(
            f"These {len(shown)} events come to more than {most} bytes: ask with a lower limit.", value=len(shown)
        )
    return [EventRow(*row[:4], read_traits(row[5]) if row[5] else [], row[6]) for row in rows]


def find_event(message_id: str, *, scope: EventScope) -> EventRow | None:
    """The event with this message id, when the caller may see it; the first, should two sources have sent the same id."""
    found = list_events(EventFilter(message_id=message_id), scope=scope, limit=1)
    return found[0] if found else None


def list_event_types(*, limit: int, after: tuple[str] | None = None) -> list[str]:
    """The types of which there are events, ascending, from behind ``after``. For operators: it is not scoped."""
    behind = ' AND t.name COLLATE "C" > %s' if after else ""
    return [name for (name,) in fetch_all(Statement(_TYPES.format(after=behind), (*(after or ()), limit)))]


def list_trait_kinds(event_type: str, *, limit: int, after: tuple[str, str] | None = None) -> list[tuple[str, str]]:
    """Name and type of the traits that events of the type have had, strings first, from behind the type and name of ``after``.

    For operators: it is not scoped.
    """
    types = list(TRAIT_TYPES)
    behind, position = "", ()
    if after:
        behind = ' AND (rank, name COLLATE "C") > (array_position(%s::text[], %s), %s)'
        position = (types, *after)
    rows = fetch_all(Statement(_KINDS.format(after=behind), (types, event_type, *position, limit)))
    return [(name, kind) for name, kind in rows]


def list_traits(event_type: str, name: str, *, limit: int, after: Position | None = None) -> list[TraitRow]:
    """The trait of each event of the type that has it, oldest first, from behind ``after``. For operators: it is not scoped."""
    holder, member = f"$[*] ? (exists (@.{_quoted(name)}))", f"$[*].{_quoted(name)}"
    behind = _behind(after)
    parameters = (holder, event_type, name, member, *behind.parameters, limit)
    rows = fetch_all(Statement(_TRAITS.format(after=behind.sql), parameters))
    return [TraitRow(generated_at, event_id, read_trait(json.loads(trait))) for generated_at, event_id, trait in rows]


def _behind(after: Position | None) -> Statement:
    return Statement(" AND (e.generated_at, e.id) > (%s, %s)", after) if after else Statement("")


def _select_events(wanted: EventFilter, scope: EventScope, limit: int, after: Position | None) -> Statement:
    conditions = _field_conditions(wanted).then_all(*map(_trait_condition, wanted.traits), _behind(after))
    first = f"{_ORDER} LIMIT %s"
    if scope.projects is None:
        return Statement(f"SELECT {_COLUMNS} FROM metering_event e WHERE true").then_all(conditions).then(first, limit)
    # Owner by owner, along the index: left to itself, the server walks through everybody's events to find somebody's first.
    own = Statement("SELECT e.* FROM metering_event e WHERE e.owner_id = o.id").then_all(conditions).then(first, limit)
    return (
        Statement(f"SELECT {_COLUMNS} FROM metering_eventowner o CROSS JOIN LATERAL (")
        .then_all(own)
        .then(") e WHERE o.project_id = ANY(%s) AND o.user_id = %s", list(scope.projects), scope.user)
        .then(first, limit)
    )


def _field_conditions(wanted: EventFilter) -> Statement:
    conditions = Statement("")
    if wanted.event_type is not None:
        conditions = conditions.then(
            " AND e.event_type_id = (SELECT id FROM metering_eventtype WHERE name = %s)", wanted.event_type
        )
    if wanted.message_id is not None:
        conditions = conditions.then(" AND e.message_id = %s", wanted.message_id)
    if wanted.start_at is not None:
        conditions = conditions.then(" AND e.generated_at >= %s", wanted.start_at)
    if wanted.end_at is not None:
        conditions = conditions.then(" AND e.generated_at <= %s", wanted.end_at)
    return conditions


def _trait_condition(match: TraitMatch) -> Statement:
    """Equality by the index on traits. Other comparisons look at each event of a type that has the trait, in order of time."""
    if match.operator == "eq":
        values = [f"[{{{_quoted(match.name)}: {{{_quoted(kind)}: {value}}}}}]" for kind, value in match.candidates]
        choices = " OR ".join(["e.traits @> %s::jsonb"] * len(values))
        return Statement(f" AND ({choices})", tuple(values))
    sign = _SIGNS[match.operator]
    paths = [f"$[*].{_quoted(match.name)}.{_quoted(kind)} ? (@ {sign} {value})" for kind, value in match.candidates]
    choices = " OR ".join(["jsonb_path_exists(e.traits, %s::jsonpath)"] * len(paths))
    return Statement(
        " AND e.event_type_id = ANY(ARRAY(SELECT k.event_type_id FROM metering_traitkind k WHERE k.name = %s AND k.type = ANY(%s)))"
        f" AND ({choices})",
        (match.name, [kind for kind, _ in match.candidates], *paths),
    )


def _quoted(text: str) -> str:
    """A text as JSON, and as SQL's path language, write it."""
    return json.dumps(text, ensure_ascii=False)
