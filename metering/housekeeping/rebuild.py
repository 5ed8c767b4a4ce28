"""Samples and events again from the ledger, batch by batch.

Hours are marked, so that rollups follow and answers are right all the while.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime

from metering.collector.dimensions import Dimensions
from metering.collector.errors import StoreAway
from metering.collector.event_rebuilding import rewrite_events
from metering.collector.rebuilding import open_batch, rewrite_samples, stored_rows
from metering.collector.verification import VerifiedBatch
from metering.messages import EventBody, Kind, MessageRefused, from_microseconds
from metering.models import Batch
from metering.retention.floors import BODIES, read_floors

from .locks import Job, holding
from .partitions import ensure_weeks, parents_of, week_of

__all__ = ["rebuild"]

_LOCK_SECONDS = 60.0


def rebuild() -> Iterator[tuple[int, str]]:
    """Rewrite the samples or events of each batch: how many there were, and why they were left alone ("" when they were not).

    Batches whose bodies retention has dropped are passed over.
    """
    dimensions = Dimensions()
    bodies_from = read_floors().by_subject.get(BODIES)
    ready: set[tuple[Kind, datetime]] = set()
    for batch in Batch.objects.select_related("key").order_by("id").iterator(chunk_size=200):
        try:
            signed = open_batch(batch)
        except MessageRefused as refusal:
            yield 0, f"batch {batch.pk}: the ledger does not hold what was signed: {refusal.code}: {refusal.detail}"
            continue
        if signed is None:
            if bodies_from is None or batch.due_at >= bodies_from:
                yield 0, f"batch {batch.pk}: its body is not in the ledger"
            continue
        if isinstance(signed.body, EventBody):
            _make_room(signed, ready)
            yield rewrite_events(signed, dimensions), ""
            continue
        rows = stored_rows(batch, signed)
        if rows is None:
            yield 0, f"batch {batch.pk}: which of its inputs had been metered before is not in the ledger any more"
            continue
        _make_room(signed, ready)
        yield rewrite_samples(signed, rows, dimensions), ""


def _make_room(batch: VerifiedBatch, ready: set[tuple[Kind, datetime]]) -> None:
    kind = batch.sealed.header.kind
    wanted = {(kind, week_of(from_microseconds(moment))) for moment in batch.body.times} - ready
    deadline = time.monotonic() + _LOCK_SECONDS
    while wanted:
        with holding(Job.PARTITIONS) as mine:
            if mine:
                ensure_weeks({week for _, week in wanted}, parents=parents_of(kind))
                ready |= wanted
                return
        if time.monotonic() > deadline:
            raise StoreAway("another session has been making partitions for a minute: try again")
        time.sleep(0.1)
