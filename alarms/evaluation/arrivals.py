"""Which events have come since the last look: none is missed and none is seen twice, however late its transaction commits.

A position is a transaction number below which every transaction has ended, and of those at or above it the batches that were seen
already. A batch that is written now and committed later has a number that the position has not passed, for the store counts it among those
that run. So nothing waits for a slow transaction of somebody else's, and nothing is lost by it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection

from alarms.models import EventCursor
from alarms.rules.matching import SeenEvent
from metering.queries.database import Statement, fetch_all
from metering.queries.errors import TooManyRows
from metering.queries.filters import Scope
from metering.queries.floors import check_event_floor
from metering.queries.traits import read_traits

__all__ = ["Arrivals", "find_arrivals", "read_events", "read_events_between", "take_cursor"]

logger = logging.getLogger(__name__)

# A collector notes the time and then writes: longer than this cannot lie between, for the broker has given its message to another by then.
_LONGEST_WRITE = timedelta(hours=1)
_POSITIONS = 1 << 20
_MOST_EVENTS = 50_000
# A row's xmin has 32 bits of its transaction's number: of those that end so, it is the one nearest to the number that comes next.
_ARRIVED = """
WITH now AS MATERIALIZED (
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS lowest, pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next
)
SELECT now.lowest, now.next, clock_timestamp(), b.id, b.number, b.stored_count, b.first_sample_at, b.last_sample_at
FROM now LEFT JOIN LATERAL (
    SELECT b.id, b.stored_count, b.first_sample_at, b.last_sample_at,
           now.next - ((now.next - b.xmin::text::bigint + 2147483648) & 4294967295) + 2147483648 AS number
    FROM metering_batch b WHERE b.kind = 'events' AND b.recorded_at >= %s
) b ON b.number >= %s AND b.id <> ALL(%s::uuid[])
ORDER BY b.number, b.id LIMIT %s
"""
_EVENTS = """
SELECT e.message_id, t.name, e.generated_at, e.traits::text
FROM unnest(%s::uuid[], %s::uuid[], %s::timestamptz[], %s::timestamptz[]) WITH ORDINALITY AS b (low, high, first_at, last_at, place)
CROSS JOIN LATERAL (
    SELECT * FROM metering_event e
    WHERE e.generated_at >= b.first_at AND e.generated_at <= b.last_at AND e.id >= b.low AND e.id <= b.high
) e JOIN metering_eventtype t ON t.id = e.event_type_id ORDER BY b.place, e.id
"""


class _Batch(NamedTuple):
    id: UUID
    number: int
    stored_count: int
    first_at: datetime | None
    last_at: datetime | None


class Arrivals(NamedTuple):
    """Batches of events that have come, in the order in which they were written, and the position behind them. ``is_all``: no more wait."""

    batches: list[_Batch]
    position: dict[str, Any]
    is_all: bool


def take_cursor() -> EventCursor | None:
    """The cursor, for this transaction alone; None while somebody else has it."""
    EventCursor.objects.get_or_create(pk=1)
    return EventCursor.objects.select_for_update(skip_locked=True).filter(pk=1).first()


def find_arrivals(position: dict[str, Any], *, most_batches: int = 500, most_events: int = 5000) -> Arrivals:
    """What has come behind the position, so much of it; one batch in any case. Without a position nothing, and where to begin."""
    beginning = datetime.now(UTC) if not position else datetime.fromisoformat(position["read_at"])
    number, seen = position.get("number", 0), position.get("seen", {})
    # Of a first look, what has come meanwhile is seen and no more.
    limit = most_batches + 1 if position else None
    with connection.cursor() as cursor:
        cursor.execute(_ARRIVED, [beginning - _LONGEST_WRITE, number, list(seen), limit])
        rows = cursor.fetchall()
    lowest, following, now = rows[0][:3]
    found = [_Batch(*row[3:]) for row in rows if row[3]]
    if number > following:
        logger.warning("the store's transactions are counted anew: event alarms begin with what comes from now on")
        return find_arrivals({})
    taken = _first(found, most_batches, most_events) if position else found
    if len(taken) < len(found):
        lowest = min(lowest, found[len(taken)].number)
    known = seen | {str(batch.id): batch.number for batch in taken}
    kept = {name: at for name, at in known.items() if at >= lowest}
    behind = {"number": lowest, "seen": kept, "read_at": now.isoformat()}
    return Arrivals(taken if position else [], behind, is_all=len(taken) == len(found))


def _first(found: Sequence[_Batch], most_batches: int, most_events: int) -> list[_Batch]:
    taken: list[_Batch] = []
    events = 0
    for batch in found[:most_batches]:
        events += batch.stored_count
        if taken and events > most_events:
            break
        taken.append(batch)
    return taken


def read_events(batches: Sequence[_Batch]) -> list[SeenEvent]:
    """The events that these batches brought, in their order."""
    filled = [batch for batch in batches if batch.stored_count]
    if not filled:
        return []
    columns = (
        [batch.id for batch in filled],
        [UUID(int=batch.id.int | (_POSITIONS - 1)) for batch in filled],
        [batch.first_at for batch in filled],
        [batch.last_at for batch in filled],
    )
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, columns)
        return [_seen(*row) for row in cursor.fetchall()]


def read_events_between(start: datetime, end: datetime, scope: Scope) -> list[SeenEvent]:
    """The events that happened in ``[start, end)`` and that the scope sees, oldest first. Raises QueryError."""
    check_event_floor(start)
    owned = Statement("")
    if scope.projects is not None:
        owned = Statement(" AND o.project_id = ANY(%s)", (list(scope.projects),))
    rows = fetch_all(
        Statement(
            "SELECT e.message_id, t.name, e.generated_at, e.traits::text FROM metering_event e"
            " JOIN metering_eventtype t ON t.id = e.event_type_id JOIN metering_eventowner o ON o.id = e.owner_id"
            " WHERE e.generated_at >= %s AND e.generated_at < %s",
            (start, end),
        )
        .then_all(owned)
        .then(" ORDER BY e.generated_at, e.id LIMIT %s", _MOST_EVENTS + 1)
    )
    if len(rows) > _MOST_EVENTS:
        raise TooManyRows(f"There are more than {_MOST_EVENTS} events between {start} and {end}: take a shorter range.")
    return [_seen(*row) for row in rows]


def _seen(message_id: str, event_type: str, generated_at: datetime, traits: str) -> SeenEvent:
    found = [(trait.name, trait.type, trait.value) for trait in read_traits(traits)]
    return SeenEvent(message_id, event_type, generated_at, found)
