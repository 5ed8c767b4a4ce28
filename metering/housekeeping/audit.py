"""The store held against what was signed: samples against the ledger, rollups against the samples. Finds what was changed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any, NamedTuple

from django.db import connection
from django.db.models import Q

from metering.collector.rebuilding import open_batch
from metering.messages import MessageRefused, SealedBatch, open_body, sample_id
from metering.models import Batch
from metering.retention.floors import BODIES, Floors, read_floors
from metering.rollups.comparison import wrong_day_rollups, wrong_hour_rollups

__all__ = ["Finding", "audit_ledger", "audit_rollups", "samples_without_batch"]

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
SELECT s.id, s.timestamp FROM metering_sample s
WHERE NOT EXISTS (SELECT FROM metering_batch b WHERE b.id = (left(s.id::text, 31) || '00000')::uuid) LIMIT 100
"""


class Finding(NamedTuple):
    """Something in the store that is not what it was made from."""

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


def audit_ledger(since: datetime | None = None) -> Iterator[list[Finding]]:
    """Check batch after batch, those with samples since then: what is wrong with each. What retention has dropped is not wrong."""
    floors = read_floors()
    batches = Batch.objects.select_related("key").order_by("id")
    if since:
        batches = batches.filter(Q(last_sample_at__gte=since))
    for batch in batches.iterator(chunk_size=200):
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
    expected = _signed(signed.sealed)
    stored = _stored(batch)
    for sample in sorted(stored.keys() - expected.keys()):
        yield Finding(f"sample {sample}", f"{name} was not signed with it")
    for sample in sorted(stored.keys() & expected.keys()):
        for field, signed, found in zip(_FIELDS, expected[sample], stored[sample], strict=True):
            if signed != found:
                yield Finding(f"sample {sample}", f"{field} is {found}, signed was {signed}")
    # Fewer are stored than signed where an input had been metered before; the ledger says how many.
    is_whole = batch.first_sample_at is None or batch.first_sample_at >= _highest(floors, batch.first_sample_at)
    if is_whole and len(stored) != batch.stored_count:
        yield Finding(name, f"{len(stored)} of its samples are stored, expected {batch.stored_count}")


def _highest(floors: Floors, default: datetime) -> datetime:
    """The time from which samples of every class are kept."""
    return max(floors.by_class.values(), default=default)


_FIELDS = ("timestamp", "volume", "meter", "type", "unit", "resource", "source", "project", "user", "metadata")


def _signed(sealed: SealedBatch) -> dict[str, tuple[Any, ...]]:
    return {
        str(sample_id(sealed.header.id, position)): (
            _EPOCH + timedelta(microseconds=sample.timestamp),
            Decimal(sample.volume),
            *(sample.meter.name, sample.meter.type, sample.meter.unit),
            *(sample.resource.id, sample.resource.source, sample.resource.project, sample.resource.user),
            _digest(json.dumps(sample.resource.metadata)),
        )
        for position, sample in enumerate(open_body(sealed).samples())
    }


def _stored(batch: Batch) -> dict[str, tuple[Any, ...]]:
    if batch.first_sample_at is None:
        return {}
    last = type(batch.pk)(int=batch.pk.int | _LAST_POSITION)
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLES, [batch.pk, last, batch.first_sample_at, batch.last_sample_at])
        return {str(row[0]): (*row[1:-1], _digest(row[-1])) for row in cursor.fetchall()}


def _digest(metadata: str) -> str:
    """The metadata's fingerprint. JSON has one kind of number: the store may write 6e16 as an integer."""
    plain = json.dumps(json.loads(metadata, parse_int=float), sort_keys=True)
    return sha256(plain.encode()).hexdigest()[:12]


def samples_without_batch() -> list[Finding]:
    """Samples of which no batch in the ledger knows; a hundred of them at most."""
    with connection.cursor() as cursor:
        cursor.execute(_STRAYS)
        return [
            Finding(f"sample {row[0]}", f"at {row[1]:%Y-%m-%dT%H:%M:%S}: no batch has it") for row in cursor.fetchall()
        ]


def audit_rollups(now: datetime, since: datetime | None = None) -> Iterator[list[Finding]]:
    """Check hour after hour, then day after day, from then (or the first sample) up to now: what is wrong with each.

    Below a floor rollups are left as they were when their samples went.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT least((SELECT min(timestamp) FROM metering_sample), (SELECT min(time) FROM metering_rolluphour))"
        )
        (first,) = cursor.fetchone()
    if first is None:
        return
    start = max(first, since or first, _highest(read_floors(), first))
    yield from _audit_each(wrong_hour_rollups, "hour", timedelta(hours=1), start, now)
    yield from _audit_each(wrong_day_rollups, "day", timedelta(days=1), start, now)


def _audit_each(
    compare: Callable[[datetime], list[tuple[str, str]]], name: str, length: timedelta, start: datetime, end: datetime
) -> Iterator[list[Finding]]:
    moment = _EPOCH + (start - _EPOCH) // length * length
    # The running one is not made yet.
    while moment + length <= end:
        yield [
            Finding(f"{name} {moment:%Y-%m-%dT%H:%M}", f"rollup of meter {meter}, resource {resource} is wrong")
            for meter, resource in compare(moment)
        ]
        moment += length
