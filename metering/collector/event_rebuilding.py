"""Writing a batch's events again, from the ledger."""

from __future__ import annotations

from django.db import connection, transaction

from metering.messages import from_microseconds, sample_id, to_microseconds
from metering.models import Batch
from metering.retention.floors import EVENTS, RAW, read_floors

from .dimensions import Dimensions
from .event_dimensions import resolve_events
from .event_writer import insert_events
from .rebuilding import ledger_columns
from .verification import VerifiedBatch

__all__ = ["STRAY", "remove_stray_events", "rewrite_events"]

# An event's id is its batch's with the position in the last five hex digits.
STRAY = """
NOT EXISTS (SELECT FROM metering_batch b WHERE b.id = (left(e.id::text, 31) || '00000')::uuid
            AND e.generated_at BETWEEN b.first_sample_at AND b.last_sample_at)
"""


def rewrite_events(batch: VerifiedBatch, dimensions: Dimensions) -> int:
    """Replace the batch's events by what was signed, in one transaction. How many there are.

    One that another batch has brought, too, stays that one's; the ledger's columns are set right. What lies below the floor has been
    dropped and stays so.
    """
    body, batch_id = batch.body, batch.sealed.header.id
    if not body.events:
        return 0
    ids = resolve_events(body, dimensions)
    floors = read_floors().by_subject
    lowest = to_microseconds(floors[EVENTS]) if EVENTS in floors else body.times[0]
    entries = [(position, event) for position, event in enumerate(body.events) if event.generated >= lowest]
    span = [from_microseconds(body.times[0]), from_microseconds(body.times[-1])]
    with transaction.atomic(), connection.cursor() as cursor:
        # Two rebuilds at once would take one another's events for another batch's.
        Batch.objects.select_for_update().get(pk=batch_id)
        for table in ("metering_event", "metering_eventraw"):
            cursor.execute(
                f"DELETE FROM {table} WHERE generated_at BETWEEN %s AND %s AND id BETWEEN %s AND %s",
                [*span, batch_id, sample_id(batch_id, 0xFFFFF)],
            )
        stored = insert_events(cursor, batch_id, entries, ids, raw_from=floors.get(RAW))
        if len(entries) == len(body.events):
            columns = ledger_columns(batch, sorted(event.generated for _, event in stored))
            Batch.objects.filter(pk=batch_id).update(**columns)
    return len(stored)


def remove_stray_events() -> int:
    """Delete events that no batch has, or not at their time, with their payloads. How many there were."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"DELETE FROM metering_eventraw e WHERE {STRAY}")
        cursor.execute(f"DELETE FROM metering_event e WHERE {STRAY}")
        return cursor.rowcount
