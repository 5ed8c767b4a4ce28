"""Batches that waited for partitions: make them, take the batches in."""

from __future__ import annotations

import logging
from datetime import datetime

from metering.collector.errors import StoreAway
from metering.collector.ingestion import Outcome, Result, store_message
from metering.collector.quarantine import put_in_quarantine
from metering.collector.verification import from_microseconds
from metering.messages import MessageRefused, open_body, parse_batch
from metering.models import ParkedBatch

from .locks import Job, holding
from .partitions import ensure_weeks, week_of

__all__ = ["admit_parked"]

logger = logging.getLogger(__name__)
# A task is bounded to some 20 seconds; what is left is taken by the next.
_BATCHES_PER_RUN = 50


def admit_parked(now: datetime) -> list[Outcome]:
    """Take in the oldest parked batches; return what became of each. Nothing when another session does it already."""
    with holding(Job.PARKED) as mine:
        if not mine:
            return []
        return [_admit(parked, now) for parked in ParkedBatch.objects.all()[:_BATCHES_PER_RUN]]


def _admit(parked: ParkedBatch, now: datetime) -> Outcome:
    message = bytes(parked.message)
    try:
        _make_room(message)
        outcome = store_message(message, now=now, waived=parked.waived)
    except MessageRefused as refusal:
        # Refused by now (its key was revoked while it waited): kept where an operator sees it.
        put_in_quarantine(message, reason=refusal.code, detail=refusal.detail, now=now)
        outcome = Outcome(Result.QUARANTINED, parked.pk, refusal.code, refusal.detail)
    if outcome.result is Result.PARKED:
        raise StoreAway(f"batch {parked.pk} still finds no partition")
    parked.delete()
    logger.info("admitted parked batch %s: %s", parked.pk, outcome.result)
    return outcome


def _make_room(message: bytes) -> None:
    sealed = parse_batch(message)
    times = {sealed.header.due, *(row[2] for row in open_body(sealed).rows)}
    with holding(Job.PARTITIONS) as mine:
        if not mine:
            raise StoreAway("another session is making partitions")
        ensure_weeks({week_of(from_microseconds(moment)) for moment in times})
