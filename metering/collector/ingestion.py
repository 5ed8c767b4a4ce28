"""Taking one message in: the only way into the store, for tasks, the API, housekeeping and operators alike."""

from __future__ import annotations

import logging
import threading
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from metering.messages import (
    Body,
    EventBody,
    Header,
    MessageRefused,
    is_bundle,
    is_refusal,
    parse_batch,
    parse_refusal,
    read_header,
)
from metering.models import AgentKey, Batch, ParkedBatch, Quarantine

from .admission import admit
from .availability import waiting_for_store
from .dimensions import DimensionIds, Dimensions
from .errors import ConflictingBatch, PartitionMissing, StoreAway
from .event_dimensions import EventIds, resolve_events
from .opening import Opener
from .quarantine import put_in_quarantine, put_refusal_in_quarantine
from .returns import return_to_transform
from .signals import events_stored
from .verification import VerifiedBatch, verify
from .writer import write_batch

__all__ = ["Outcome", "Result", "dimensions", "ingest", "opener", "release", "store_message"]

logger = logging.getLogger(__name__)
dimensions = Dimensions()
opener = Opener(dimensions.recall)
# The API takes posts in several threads, and what one looks up another must not forget meanwhile.
_resolving = threading.Lock()


class Result(StrEnum):
    STORED = "stored"
    DUPLICATE = "duplicate"
    PARKED = "parked"
    QUARANTINED = "quarantined"
    RETURNED = "returned"


class Outcome(NamedTuple):
    """What became of a message; ``reason`` and ``detail`` are empty unless it was quarantined."""

    result: Result
    batch_id: UUID | None = None
    reason: str = ""
    detail: str = ""


def ingest(message: bytes, *, now: datetime | None = None) -> Outcome:
    """Take a message in; committed when this returns. Raises StoreAway only: everything else ends in an Outcome."""
    now = now or timezone.now()
    with waiting_for_store():
        try:
            return _quarantine_refusal(message, now) if is_refusal(message) else store_message(message, now=now)
        except MessageRefused as refusal:
            reason, detail = refusal.code, refusal.detail
        except StoreAway:
            raise
        except Exception as error:
            # A fault of ours must not lose a message or kill the worker: it is kept, and the log has the trace.
            logger.exception("a message could not be taken in")
            reason, detail = "internal_error", f"{type(error).__name__}: {error}"
        put_in_quarantine(message, reason=reason, detail=detail, now=now)
    logger.warning("quarantined a message: %s: %s", reason, detail)
    return Outcome(Result.QUARANTINED, None, reason, detail)


def _quarantine_refusal(message: bytes, now: datetime) -> Outcome:
    refusal = parse_refusal(message)
    put_refusal_in_quarantine(refusal, now=now)
    logger.warning("quarantined what %s refused: %s: %s", refusal.agent, refusal.reason, refusal.detail)
    return Outcome(Result.QUARANTINED, None, refusal.reason, refusal.detail)


def store_message(message: bytes, *, now: datetime, waived: bool = False) -> Outcome:
    """Verify and write a message, or park it until its partitions exist. Raises MessageRefused or StoreAway."""
    with waiting_for_store():
        batch = verify(message, now=now, waived=waived, opened=opener.take(message))
        opener.learn(batch.opened.key)
        ids = batch.opened.ids or _resolve(batch.body)
        admitted = admit(batch, ids if isinstance(ids, DimensionIds) else None, now=now)
        batch_id = batch.sealed.header.id
        try:
            stored = write_batch(batch, ids, now=now, admitted=admitted, meanwhile=opener.begin)
        except PartitionMissing:
            _park(batch, message, now=now, waived=waived)
            return Outcome(Result.PARKED, batch_id)
        if stored:
            if isinstance(batch.body, EventBody):
                events_stored.send_robust(sender=None)
            return Outcome(Result.STORED, batch_id)
        _acknowledge_duplicate(batch)
        return Outcome(Result.DUPLICATE, batch_id)


def _resolve(body: Body | EventBody) -> DimensionIds | EventIds:
    with _resolving:
        return resolve_events(body, dimensions) if isinstance(body, EventBody) else dimensions.resolve(body)


def _park(batch: VerifiedBatch, message: bytes, *, now: datetime, waived: bool) -> None:
    """Keep a message until its partitions exist. Raises ConflictingBatch as the ledger does."""
    parked, created = ParkedBatch.objects.get_or_create(
        id=batch.sealed.header.id, defaults={"message": message, "waived": waived, "parked_at": now}
    )
    first = parse_batch(bytes(parked.message)).header
    if not created and bytes(parked.message) != message and not _is_repeat(batch, first):
        raise ConflictingBatch(f"batch {parked.pk} waits for its partitions with another header")


def _acknowledge_duplicate(batch: VerifiedBatch) -> None:
    """Count a batch that is in the ledger. Raises ConflictingBatch if it is not the same and no poll's repeat either."""
    header = batch.sealed.header
    first = Batch.objects.get(pk=header.id)
    same = bytes(first.header_digest).hex() == batch.sealed.header_digest
    if not same and not _is_repeat(batch, read_header(bytes(first.header))):
        raise ConflictingBatch(
            f"batch {header.id} is in the ledger with another header, recorded {first.recorded_at:%Y-%m-%d %H:%M:%S}"
        )
    AgentKey.objects.filter(pk=batch.key.pk).update(duplicate_count=F("duplicate_count") + 1)


def _is_repeat(batch: VerifiedBatch, first: Header) -> bool:
    """Whether a batch is the same work done again by an agent that lost its outbox, or has forgotten what it sent.

    What was made from inputs comes out the same again. A poll measures twice, and the first counts. An outbox makes no id twice in
    one stream, so a poll in the same stream with another header is a copied machine's; another key under the same name is another
    machine's. What those measured is not what the first did.
    """
    header = batch.sealed.header
    if not batch.body.is_polled:
        return (first.kind, first.body_sha256) == (header.kind, header.body_sha256)
    return first.key == header.key and first.stream != header.stream


def release(entry: Quarantine, *, by: object, now: datetime | None = None) -> Outcome:
    """Try a quarantined message again on an operator's word, policy waived; signature and form never are.

    Stored, parked or known already: the entry is marked as released. Still refused: the entry keeps the new reason. Notifications go
    back to the transform role, which may refuse them again; raises whatever the broker's library raises.
    """
    now = now or timezone.now()
    message = bytes(entry.message)
    try:
        if is_bundle(message):
            return_to_transform(message)
            outcome = Outcome(Result.RETURNED)
        else:
            outcome = store_message(message, now=now, waived=True)
    except MessageRefused as refusal:
        return Outcome(Result.QUARANTINED, entry.batch_id, refusal.code, refusal.detail)
    with transaction.atomic():
        Quarantine.objects.filter(pk=entry.pk).update(released_at=now, released_by=by)
    return outcome
