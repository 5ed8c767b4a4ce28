"""Events of a batch as rows: those that no batch has brought before, and the payloads that they were made from."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db.backends.utils import CursorWrapper

from metering.messages import Event, Trait, from_microseconds, position_of, to_microseconds

from .bulk import copy_rows, fetch_for_values
from .event_dimensions import EventIds

__all__ = ["Entries", "insert_events"]

# Sorted by their key, so that two collectors with the same events wait for one another in one order.
_INSERT = """
INSERT INTO metering_event (generated_at, event_type_id, owner_id, id, source, message_id, traits) VALUES %s
ON CONFLICT DO NOTHING RETURNING id
"""
_COPY_RAW = "COPY metering_eventraw (generated_at, id, raw) FROM STDIN"
_encode = msgspec.json.Encoder().encode
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_NO_RAW = b"{}"

# Events, each with its position in its batch.
Entries = list[tuple[int, Event]]


def insert_events(
    cursor: CursorWrapper,
    batch_id: UUID,
    entries: Entries,
    ids: EventIds,
    *,
    raw_from: datetime | None,
    meanwhile: Callable[[], None] | None = None,
) -> Entries:
    """Write the events that are not in the store yet, and return them. Payloads from before ``raw_from`` are not kept any more.

    ``meanwhile`` is called when the server is about to be busy and this process is not.
    """
    if not entries:
        return []
    rows = [
        (
            from_microseconds(event.generated),
            ids.types[position],
            ids.owners[position],
            UUID(int=batch_id.int | position),
            event.source,
            event.id,
            _stored_traits(event),
        )
        for position, event in entries
    ]
    rows.sort(key=lambda row: (row[5], row[4], row[0], row[3]))
    if meanwhile:
        meanwhile()
    written = {position_of(row_id) for (row_id,) in fetch_for_values(cursor, _INSERT, rows)}
    new = [entry for entry in entries if entry[0] in written]
    copy_rows(cursor, _COPY_RAW, _raw_lines(batch_id, new, raw_from))
    return new


def _stored_traits(event: Event) -> str:
    return _encode([{trait.name: {trait.type: _stored_value(trait)}} for trait in event.traits]).decode()


def _stored_value(trait: Trait) -> Any:
    """A trait's value as the store compares it: text, an exact number, or whole µs since 1970."""
    if trait.type == "string":
        return trait.value
    if trait.type == "integer":
        return int(trait.value)
    if trait.type == "float":
        return float(trait.value)
    return to_microseconds(datetime.fromisoformat(f"{trait.value}+00:00"))


def _raw_lines(batch_id: UUID, entries: Entries, raw_from: datetime | None) -> str:
    lowest = to_microseconds(raw_from) if raw_from else None
    lines = []
    for position, event in entries:
        raw = bytes(event.raw)
        if raw != _NO_RAW and (lowest is None or event.generated >= lowest):
            at = from_microseconds(event.generated).isoformat()
            lines.append(f"{at}\t{batch_id.int | position:032x}\t{raw.decode().translate(_ESCAPES)}\n")
    return "".join(lines)
