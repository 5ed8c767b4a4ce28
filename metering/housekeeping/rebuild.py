"""Samples again from the ledger, batch by batch; their hours are marked, so that rollups follow and answers are right all the while."""

from __future__ import annotations

from collections.abc import Iterator

from metering.collector.dimensions import Dimensions
from metering.collector.errors import StoreAway
from metering.collector.rebuilding import open_batch, rewrite_samples
from metering.collector.verification import VerifiedBatch
from metering.messages import MessageRefused, from_microseconds
from metering.models import Batch

from .locks import Job, holding
from .partitions import ensure_weeks, samples_parents, week_of

__all__ = ["rebuild"]


def rebuild() -> Iterator[tuple[int, str]]:
    """Rewrite the samples of each batch: how many there were, and why they were left alone ("" when they were not)."""
    dimensions = Dimensions()
    for batch in Batch.objects.select_related("key").order_by("id").iterator(chunk_size=200):
        try:
            signed = open_batch(batch)
        except MessageRefused as refusal:
            yield 0, f"batch {batch.pk}: the ledger does not hold what was signed: {refusal.code}: {refusal.detail}"
            continue
        if signed is None:
            yield 0, f"batch {batch.pk}: its body is not in the ledger"
            continue
        _make_room(signed)
        yield rewrite_samples(signed, dimensions), ""


def _make_room(batch: VerifiedBatch) -> None:
    weeks = {week_of(from_microseconds(row[2])) for row in batch.body.rows}
    with holding(Job.PARTITIONS) as mine:
        if not mine:
            raise StoreAway("another session is making partitions: try again")
        ensure_weeks(weeks, parents=samples_parents())
