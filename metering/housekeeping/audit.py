"""The store held against what was signed: samples and events against the ledger, rollups against the samples.

Finds what was changed by hand.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from hashlib import sha256
from random import random
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection
from django.db.models import Q

from metering.collector.event_rebuilding import STRAY
from metering.collector.lines import Rows
from metering.collector.rebuilding import ledger_columns, open_batch, stored_rows
from metering.collector.verification import VerifiedBatch
from metering.messages import EventBody, MessageRefused, from_microseconds, sample_id, to_microseconds
from metering.messages import Meter as SentMeter
from metering.models import Batch, Meter
from metering.retention.floors import BODIES, Floors, read_floors
from metering.rollups.comparison import wrong_day_rollups, wrong_hour_rollups

from .catalogue import Partition, list_partitions
from .event_comparison import compare_events
from .partitions import ROLLUPS, samples_parents

__all__ = ["Finding", "audit_ledger", "audit_rollups", "audit_strays"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_POSITION = 0xFFFFF
_SAMPLES = """
SELECT s.id, s.timestamp, s.volume, m.name, m.type, m.unit, r.resource_id, r.source, r.project_id, r.user_id, st.metadata::text
FROM metering_sample s JOIN metering_meter m ON m.id = s.meter_id JOIN metering_resource r ON r.id = s.resource_id
JOIN metering_resourcestate st ON st.id = s.state_id
WHERE s.id BETWEEN %s AND %s AND s.timestamp BETWEEN %s AND %s
"""
# A sample's id is its batch's with the position in the last five hex digits.
_STRAYS = """
SELECT s.id, s.timestamp FROM metering_sample s WHERE NOT EXISTS (
    SELECT FROM metering_batch b WHERE b.id = (left(s.id::text, 31) || '00000')::uuid
    AND s.timestamp BETWEEN b.first_sample_at AND b.last_sample_at) LIMIT 100
"""
_STRAY_EVENTS = f"SELECT e.id, e.generated_at FROM metering_event e WHERE {STRAY} LIMIT 100"
_HEADLESS = (
    "SELECT id FROM metering_batchbody y WHERE NOT EXISTS (SELECT FROM metering_batch b WHERE b.id = y.id) LIMIT 100"
)


class Finding(NamedTuple):
    """Something in the store that is not what it was made from."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def audit_ledger(since: datetime | None = None, *, share: float = 1) -> Iterator[list[Finding]]:
    """Check batch after batch, those with samples since then, or such a share of them, drawn by lot: what is wrong with each.

    What retention has dropped is not wrong.
    """
    floors = read_floors()
    batches = Batch.objects.select_related("key").order_by("id")
    if since:
        batches = batches.filter(Q(last_sample_at__gte=since))
    for batch in batches.iterator(chunk_size=200):
        if random() < share:
            yield list(_check_batch(batch, floors))


def _check_batch(batch: Batch, floors: Floors) -> Iterator[Finding]:
    name = f"batch {batch.pk}"
    try:
        signed = open_batch(batch)
    except MessageRefused as refusal:
        yield Finding(name, f"the ledger does not hold what was signed: {refusal.code}: {refusal.detail}")
        return
    if signed is None:
        if batch.due_at >= floors.by_subject.get(BODIES, batch.due_at):
            yield Finding(name, "its body is not in the ledger")
        return
    if isinstance(signed.body, EventBody):
        stored, findings = compare_events(signed, floors)
        yield from _check_columns(batch, ledger_columns(signed, stored) if stored is not None else {})
        yield from (Finding(*found) for found in findings)
        return
    rows = stored_rows(batch, signed)
    if rows is None:
        yield Finding(
            name, f"the ledger says {batch.stored_count} of its samples were stored: its inputs give another number"
        )
        return
    yield from _check_columns(batch, ledger_columns(signed, [row[2] for _, row in rows]))
    yield from _check_samples(name, signed, rows, floors)


def _check_columns(batch: Batch, columns: dict[str, Any]) -> Iterator[Finding]:
    for column, expected in columns.items():
        found = getattr(batch, column)
        if (bytes(found) if isinstance(found, memoryview) else found) != expected:
            shown = [value.hex() if isinstance(value, bytes | memoryview) else value for value in (found, expected)]
            yield Finding(f"batch {batch.pk}", f"{column} is {shown[0]}, signed was {shown[1]}")


def _check_samples(name: str, signed: VerifiedBatch, rows: Rows, floors: Floors) -> Iterator[Finding]:
    expected = _signed(signed)
    stored = _stored(signed.sealed.header.id, rows)
    counts = Counter(sample for sample, _ in stored)
    for sample, values in stored:
        if sample not in expected:
            yield Finding(f"sample {sample}", f"{name} was not signed with it")
        elif counts[sample] > 1:
            yield Finding(f"sample {sample}", f"stands {counts[sample]} times")
        else:
            for field, was, found in zip(_FIELDS, expected[sample], values, strict=True):
                if was != found:
                    yield Finding(f"sample {sample}", f"{field} is {found}, signed was {was}")
    # Where an input had been metered before, and below the floors, fewer are stored than were signed.
    wanted = _kept(signed, rows, floors)
    missing = sorted(wanted - counts.keys())
    if missing:
        first = dict(zip(_FIELDS, expected[missing[0]], strict=True))
        yield Finding(
            name,
            f"{len(wanted) - len(missing)} of its samples are stored, expected {len(wanted)}; the first that is missing: "
            f"{first['meter']} of {first['resource']} at {first['timestamp']:%Y-%m-%dT%H:%M:%S.%fZ}",
        )


def _kept(signed: VerifiedBatch, rows: Rows, floors: Floors) -> set[str]:
    """Ids of the samples that must be there: those stored, from the floor of their meter's class on."""
    lowest = [to_microseconds(floor) if (floor := _floor_of(meter, floors)) else 0 for meter in signed.body.meters]
    return {str(sample_id(signed.sealed.header.id, position)) for position, row in rows if row[2] >= lowest[row[0]]}


def _floor_of(meter: SentMeter, floors: Floors) -> datetime | None:
    if not floors.by_class:
        return None
    found = Meter.objects.filter(name=meter.name, type=meter.type, unit=meter.unit).first()
    return floors.by_class.get(found.retention_class_id) if found else None


_FIELDS = ("timestamp", "volume", "meter", "type", "unit", "resource", "source", "project", "user", "metadata")


def _signed(signed: VerifiedBatch) -> dict[str, tuple[Any, ...]]:
    """What was signed of each sample, by its id: values in the order of _FIELDS."""
    meters = [(meter.name, meter.type, meter.unit) for meter in signed.body.meters]
    resources = [
        (resource.id, resource.source, resource.project, resource.user, _digest(json.dumps(resource.metadata)))
        for resource in signed.body.resources
    ]
    return {
        str(sample_id(signed.sealed.header.id, position)): (
            from_microseconds(timestamp),
            Decimal(volume),
            *meters[meter],
            *resources[resource],
        )
        for position, (meter, resource, timestamp, volume) in enumerate(signed.body.rows)
    }


def _stored(batch_id: UUID, rows: Rows) -> list[tuple[str, tuple[Any, ...]]]:
    """What the store has under the batch's ids at the time of its samples."""
    if not rows:
        return []
    times = [row[2] for _, row in rows]
    span = from_microseconds(min(times)), from_microseconds(max(times))
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLES, [batch_id, sample_id(batch_id, _LAST_POSITION), *span])
        return [(str(row[0]), (*row[1:-1], _digest(row[-1]))) for row in cursor.fetchall()]


@lru_cache(maxsize=10_000)
def _digest(metadata: str) -> str:
    """The metadata's fingerprint. JSON has one kind of number: the store may write 6e16 as an integer."""
    plain = json.dumps(json.loads(metadata, parse_int=float), sort_keys=True)
    return sha256(plain.encode()).hexdigest()[:12]


def audit_strays() -> list[Finding]:
    """Samples and events of which no batch in the ledger knows, and bodies without their header; a hundred of each at most."""
    found = []
    with connection.cursor() as cursor:
        for name, query in (("sample", _STRAYS), ("event", _STRAY_EVENTS)):
            cursor.execute(query)
            found += [
                Finding(f"{name} {row[0]}", f"at {row[1]:%Y-%m-%dT%H:%M:%S}: no batch has it at that time")
                for row in cursor.fetchall()
            ]
        cursor.execute(_HEADLESS)
        return found + [
            Finding(f"batch {row[0]}", "its body is in the ledger, its header is not") for row in cursor.fetchall()
        ]


def audit_rollups(now: datetime, since: datetime | None = None, *, share: float = 1) -> Iterator[list[Finding]]:
    """Check hour after hour, then day after day, from then (or the first partition) up to now, or a share of them: what is wrong with each.

    Below a floor rollups are left as they were when their samples went.
    """
    hours, days = ROLLUPS
    for compare, name, length, parents in (
        (wrong_hour_rollups, "hour", timedelta(hours=1), (*samples_parents(), hours)),
        (wrong_day_rollups, "day", timedelta(days=1), (hours, days)),
    ):
        # The running one is not made yet.
        filled = [partition for partition in list_partitions(parents) if _is_filled(partition)]
        for moment in _moments(filled, length, since, now - length):
            if random() < share:
                yield [
                    Finding(f"{name} {moment:%Y-%m-%dT%H:%M}", f"rollup of meter {meter}, resource {resource} is wrong")
                    for meter, resource in compare(moment)
                ]


def _is_filled(partition: Partition) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT EXISTS (SELECT FROM {partition.name})")
        return bool(cursor.fetchone()[0])


def _moments(
    partitions: Iterable[Partition], length: timedelta, since: datetime | None, until: datetime
) -> Iterator[datetime]:
    """Where the hours or days of the partitions begin, each once: years may lie between one partition and the next."""
    moment = _EPOCH + ((since or _EPOCH) - _EPOCH) // length * length
    for partition in sorted(partitions, key=lambda partition: partition.low):
        moment = max(moment, partition.low)
        while moment < partition.high and moment <= until:
            yield moment
            moment += length
