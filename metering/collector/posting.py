"""Samples that are posted to the API: signed by the API's own key, then taken in like any other batch."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

from django.conf import settings

from metering.messages import Link, PrivateKey, Sample, SealedBatch, seal_batch, to_microseconds
from metering.models import Agent, AgentKey, Batch, ParkedBatch

from .errors import ConflictingBatch
from .ingestion import Result, store_message
from .keyed import API, KeyedRequest
from .tasks import request_partitions

__all__ = ["Posted", "forget_signer", "post_samples"]

_PARKED_WAIT_SECONDS = 10.0
_PARKED_LOOK_SECONDS = 0.05


class Posted(NamedTuple):
    """Where posted samples stand: ``sample_id(batch_id, position)`` is each one's id. ``parked``: kept, but not yet to be read."""

    batch_id: UUID
    parked: bool


class _Signer:
    """The key of this machine's API and this process's stream."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key = PrivateKey.from_pem(settings.CELOMETER_API_KEY_PEM)
        self._stream = uuid4()
        self._sequence = 0
        self._previous = ""
        _enroll(self._key)

    def seal(self, samples: Sequence[Sample], *, poster: str, now: datetime, keyed: KeyedRequest | None) -> SealedBatch:
        with self._lock:
            sealed = seal_batch(
                samples,
                key=self._key,
                agent=API,
                source=API,
                due=to_microseconds(keyed.at if keyed else now),
                made=to_microseconds(now),
                unit=keyed.unit if keyed else secrets.token_hex(16),
                link=Link(self._stream, self._sequence + 1, self._previous),
                poster=poster,
            )
            self._sequence += 1
            self._previous = sealed.header_digest
        return sealed


_signer: _Signer | None = None
_signer_lock = threading.Lock()


def post_samples(samples: Sequence[Sample], *, poster: str, now: datetime, keyed: KeyedRequest | None = None) -> Posted:
    """Sign and store samples; committed when this returns. Raises MessageRefused (nothing is stored) or StoreAway.

    Samples of a time that has no partition yet wait for housekeeping to make one, and this call with them for a while; after that
    the answer says ``parked``: they are safe and will be readable soon. Of a request with a claimed key, one that has been stored
    or parked before is not stored again; ``samples`` must be what it said then.
    """
    if keyed and keyed.is_repeat and (found := _find(keyed.batch_id)):
        return found if not found.parked else _wait_for(keyed.batch_id)
    sealed = _the_signer().seal(samples, poster=poster, now=now, keyed=keyed)
    batch_id = sealed.header.id
    try:
        parked = store_message(sealed.to_bytes(), now=now).result is Result.PARKED
    except ConflictingBatch:
        # The same request came twice at once, and the other one was quicker.
        found = _find(batch_id)
        if found is None:
            raise
        parked = found.parked
    return _wait_for(batch_id) if parked else Posted(batch_id, parked=False)


def _find(batch_id: UUID) -> Posted | None:
    if Batch.objects.filter(pk=batch_id).exists():
        return Posted(batch_id, parked=False)
    return Posted(batch_id, parked=True) if ParkedBatch.objects.filter(pk=batch_id).exists() else None


def _wait_for(batch_id: UUID) -> Posted:
    request_partitions()
    deadline = time.monotonic() + _PARKED_WAIT_SECONDS
    while time.monotonic() < deadline:
        if Batch.objects.filter(pk=batch_id).exists():
            return Posted(batch_id, parked=False)
        time.sleep(_PARKED_LOOK_SECONDS)
    return Posted(batch_id, parked=True)


def _the_signer() -> _Signer:
    global _signer
    with _signer_lock:
        if _signer is None:
            _signer = _Signer()
        return _signer


def forget_signer() -> None:
    """Begin a new stream, and enroll the key again, with the next post; only an emptied store calls for it."""
    global _signer
    with _signer_lock:
        _signer = None


def _enroll(key: PrivateKey) -> None:
    agent, _ = Agent.objects.get_or_create(name=API, defaults={"description": "samples posted to the API"})
    AgentKey.objects.get_or_create(
        key_id=key.public.id,
        # From a moment ago: the clock of the store's machine may lag behind this one's.
        defaults={"agent": agent, "public_key": key.public.raw, "valid_from": agent.enrolled_at - timedelta(minutes=5)},
    )
