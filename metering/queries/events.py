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
# Sizes are looked at first: those of one answer are bounded together.
_EVENTS = """
SELECT sized.id, message_id, event_type, generated_at, total, CASE WHEN total <= %s THEN traits END, CASE WHEN total <= %s THEN raw END
FROM (
    SELECT e.id, e.message_id, t.name AS event_type, e.generated_at, e.traits, r.raw,
           sum(octet_length(e.traits) + coalesce(octet_length(r.raw), 0)) OVER () AS total
    FROM ({events}) e
    JOIN metering_eventtype t ON t.id = e.event_type_id
    LEFT JOIN metering_eventraw r ON r.generated_at = e.generated_at AND r.id = e.id
) sized ORDER BY generated_at, id"""
_COLUMNS = "e.id, e.message_id, e.event_type_id, e.generated_at, e.traits::text AS traits"
_TYPES = """
SELECT t.name FROM metering_eventtype t
WHERE EXISTS (SELECT FROM metering_event e WHERE e.event_type_id = t.id) ORDER BY t.name COLLATE "C" LIMIT %s"""
_KINDS = """
SELECT k.name, k.type FROM metering_traitkind k JOIN metering_eventtype t ON t.id = k.event_type_id
WHERE t.name = %s ORDER BY array_position(%s::text[], k.type::text), k.name COLLATE "C" LIMIT %s"""
# Looked for only where events of the type have ever had the trait.
_TRAITS = f"""
SELECT (jsonb_path_query_first(e.traits, %s::jsonpath))::text FROM metering_event e
WHERE e.event_type_id = (
    SELECT t.id FROM metering_eventtype t WHERE t.name = %s
    AND EXISTS (SELECT FROM metering_traitkind k WHERE k.event_type_id = t.id AND k.name = %s))
AND jsonb_path_exists(e.traits, %s::jsonpath){_ORDER} LIMIT %s"""
_SIGNS = {"lt": "<", "le": "<=", "ne": "<>", "ge": ">=", "gt": ">"}


def list_events(wanted: EventFilter, *, scope: EventScope, limit: int) -> list[EventRow]:
    """The oldest matching events, at most ``limit``; equal times in the order in which they were stored.

    Raises NoLongerKept when the window begins before the time from which events are kept, TooManyRows when traits and payloads together
    come to more than CELOMETER_API_MAX_EVENT_BYTES.
    """
    check_event_floor(wanted.start_at or wanted.end_at)
    events = _select_events(wanted, scope, limit)
    most = settings.CELOMETER_API_MAX_EVENT_BYTES
    rows = fetch_all(Statement(_EVENTS.format(events=events.sql), (most, most, *events.parameters)))
    if rows and rows[0][4] > most:
        raise TooManyRows(
            f"These {len(rows)} events come to more than {most} bytes: ask with a lower limit.", value=len(rows)
        )
    return [EventRow(*row[:4], read_traits(row[5]), row[6]) for row in rows]


def find_event(message_id: str, *, scope: EventScope) -> EventRow | None:
    """The event with this message id, when the caller may see it; the first, should two sources have sent the same id."""
    found = list_events(EventFilter(message_id=message_id), scope=scope, limit=1)
    return found[0] if found else None


def list_event_types(*, limit: int) -> list[str]:
    """The types of which there are events, ascending. For operators: it is not scoped."""
    return [name for (name,) in fetch_all(Statement(_TYPES, (limit,)))]


def list_trait_kinds(event_type: str, *, limit: int) -> list[tuple[str, str]]:
    """Name and type of the traits that events of the type have had, strings first. For operators: it is not scoped."""
    return [(name, kind) for name, kind in fetch_all(Statement(_KINDS, (event_type, list(TRAIT_TYPES), limit)))]


def list_traits(event_type: str, name: str, *, limit: int) -> list[Trait]:
    """The trait of each event of the type that has it, oldest first. For operators: it is not scoped."""
    holder, member = f"$[*] ? (exists (@.{_quoted(name)}))", f"$[*].{_quoted(name)}"
    rows = fetch_all(Statement(_TRAITS, (holder, event_type, name, member, limit)))
    return [read_trait(json.loads(trait)) for (trait,) in rows]


def _select_events(wanted: EventFilter, scope: EventScope, limit: int) -> Statement:
    conditions = _field_conditions(wanted).then_all(*map(_trait_condition, wanted.traits))
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
