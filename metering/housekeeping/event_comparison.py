"""A batch's events in the store beside those that were signed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import connection

from metering.collector.verification import VerifiedBatch
from metering.messages import Event, from_microseconds, sample_id, to_microseconds
from metering.queries.traits import read_traits
from metering.retention.floors import EVENTS, RAW, Floors

__all__ = ["compare_events"]

_STORED = """
SELECT e.id, t.name, e.source, e.message_id, e.generated_at, e.traits::text, o.project_id, o.user_id, r.raw
FROM metering_event e JOIN metering_eventtype t ON t.id = e.event_type_id JOIN metering_eventowner o ON o.id = e.owner_id
LEFT JOIN metering_eventraw r ON r.generated_at = e.generated_at AND r.id = e.id
WHERE e.generated_at BETWEEN %s AND %s AND e.id BETWEEN %s AND %s
"""
_ELSEWHERE = "SELECT EXISTS (SELECT FROM metering_event WHERE message_id = %s AND source = %s AND generated_at = %s)"
# May be gone, and need not be yet.
_NOT_KEPT = object()
_FIELDS = ("type", "source", "id", "generated", "traits", "project", "user", "raw")


def compare_events(signed: VerifiedBatch, floors: Floors) -> tuple[list[int] | None, list[tuple[str, str]]]:
    """Times (µs) of the events that are stored of a batch, and what is wrong: where, and what.

    The times are None where retention has dropped some of its events. An event that another batch has brought, too, may stand under
    that one.
    """
    body, batch_id = signed.body, signed.sealed.header.id
    if not body.events:
        return [], []
    floor = floors.by_subject.get(EVENTS)
    lowest = to_microseconds(floor) if floor else body.times[0]
    stored = _read(batch_id, body.times)
    findings = []
    for position, found in stored.items():
        where = f"event {sample_id(batch_id, position)}"
        if position >= len(body.events):
            findings.append((where, f"batch {batch_id} was not signed with it"))
            continue
        expected = _expected(body.events[position], floors)
        findings += [
            (where, f"{field} is {value}, signed was {was}")
            for field, was, value in zip(_FIELDS, expected, found, strict=True)
            if was not in (value, _NOT_KEPT)
        ]
    for position, event in enumerate(body.events):
        if position not in stored and event.generated >= lowest and not _stands_elsewhere(event):
            findings.append((f"event {sample_id(batch_id, position)}", f"{event.type} {event.id} is missing"))
    is_whole = body.times[0] >= lowest
    return (sorted(to_microseconds(found[3]) for found in stored.values()) if is_whole else None), findings


def _read(batch_id: UUID, times: list[int]) -> dict[int, tuple[Any, ...]]:
    span = [from_microseconds(times[0]), from_microseconds(times[-1])]
    with connection.cursor() as cursor:
        cursor.execute(_STORED, [*span, batch_id, sample_id(batch_id, 0xFFFFF)])
        return {
            row[0].int - batch_id.int: (*row[1:5], read_traits(row[5]), *row[6:8], row[8] or "{}")
            for row in cursor.fetchall()
        }


def _expected(event: Event, floors: Floors) -> tuple[Any, ...]:
    generated_at = from_microseconds(event.generated)
    raw_from = floors.by_subject.get(RAW)
    raw = _NOT_KEPT if raw_from and generated_at < raw_from else bytes(event.raw).decode()
    return event.type, event.source, event.id, generated_at, list(event.traits), *event.owner(), raw


def _stands_elsewhere(event: Event) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_ELSEWHERE, [event.id, event.source, from_microseconds(event.generated)])
        return bool(cursor.fetchone()[0])
