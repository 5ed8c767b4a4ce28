"""One round of housekeeping, for the clock and for ``manage.py housekeep`` alike."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from metering.collector.availability import waiting_for_store
from metering.collector.ingestion import Outcome

from .counts import forget_counts
from .locks import Job, holding
from .parked import admit_parked
from .partitions import ensure_ahead
from .retention import drop_expired

__all__ = ["Kept", "keep_house"]


@dataclass(frozen=True)
class Kept:
    """What a round did."""

    partitions: list[str]
    dropped: list[str]
    admitted: list[Outcome]


def keep_house(now: datetime) -> Kept:
    """Partitions ahead of need, what is past its retention, then parked batches. Several may run at once: each job is done by one.

    Raises StoreAway, also while retention.yaml cannot be used.
    """
    with waiting_for_store():
        with holding(Job.PARTITIONS) as mine:
            partitions = ensure_ahead(now) if mine else []
        forget_counts(now)
        return Kept(partitions=partitions, dropped=drop_expired(now), admitted=admit_parked(now))
