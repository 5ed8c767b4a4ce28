"""Batches that waited for partitions: make them, take the batches in."""

from __future__ import annotations

import logging
from datetime import datetime

from metering.collector.availability import StoreAway, waiting_for_store
from metering.collector.ingestion import Outcome, Result, store_message
from metering.collector.quarantine import put_in_quarantine
from metering.messages import MessageRefused, from_microseconds, open_body, parse_batch
from metering.models import ParkedBatch

from .locks import Job, holding
from .partitions import LEDGER, ensure_weeks, parents_of, week_of

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
        if outcome.result is Result.PARKED:
            raise RuntimeError("there is still no partition for it")
    except StoreAway:
        raise
    except MessageRefused as refusal:
        # Refused by now (its key was revoked while it waited): kept where an operator sees it.
        outcome = Outcome(Result.QUARANTINED, parked.pk, refusal.code, refusal.detail)
    except Exception as error:
        # A fault of ours with one batch must not keep all others waiting behind it.
        logger.exception("parked batch %s could not be taken in", parked.pk)
        outcome = Outcome(Result.QUARANTINED, parked.pk, "internal_error", f"{type(error).__name__}: {error}")
    if outcome.result is Result.QUARANTINED:
        put_in_quarantine(message, reason=outcome.reason, detail=outcome.detail, now=now)
    logger.info("admitted parked batch %s: %s", parked.pk, outcome.result)
    parked.delete()
    return outcome


def _make_room(message: bytes) -> None:
    sealed = parse_batch(message)
    weeks = {week_of(from_microseconds(moment)) for moment in open_body(sealed).times}
    with waiting_for_store(), holding(Job.PARTITIONS) as mine:
        if not mine:
            raise StoreAway("another session is making partitions")
        ensure_weeks([week_of(from_microseconds(sealed.header.due))], parents=LEDGER)
        # However many weeks an agent's samples or events lie in, each costs one partition, and none is older than the floor date.
        ensure_weeks(weeks, parents=parents_of(sealed.header.kind))
