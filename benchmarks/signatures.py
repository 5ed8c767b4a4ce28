"""What sealing and opening costs, CPU of one core: signatures alone, whole batches, and bytes on the wire for each sample."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Callable, Sequence
from itertools import islice
from typing import TypeVar
from uuid import UUID

from benchmarks.ceilometer import open_message, write_message
from benchmarks.figures import Figure
from benchmarks.gates import expect
from metering.messages import BadSignature, Link, PrivateKey, Sample, SealedBatch, open_body, parse_batch, seal_batch
from metering.simulation.fleet import CENTRAL, Fleet, Plan

__all__ = ["measure_messages"]

# One node's instances: its polls are batches of some 900 samples.
_INSTANCES = 110
_RUNS = 3
_LINK = Link(UUID(int=1), 1, "")
_SECRET = b"a secret that all agents share"
_AS_CEILOMETER = "as Ceilometer: JSON and an HMAC for each sample"
_HMAC = "HMAC-SHA256 of the same header"
T = TypeVar("T")


def measure_messages(*, batches: int) -> list[Figure]:
    """Signatures a second, batches a second, µs and bytes for a sample. Only what opens to the samples that went in has a speed."""
    key = PrivateKey.generate()
    polls = _take_polls(batches)
    sealed = [_seal(key, samples) for samples in polls]
    return [*_measure_keys(key, sealed), *_measure_batches(key, polls), *_measure_wire(sealed, polls)]


def _take_polls(count: int) -> list[list[Sample]]:
    """Polls of a make-believe node, an hour apart, its counters a day old and more."""
    hours = range(24, 24 + count)
    plan = Plan(1, _INSTANCES, start=1_790_000_000, end=1_790_000_000 + hours.stop * 3600, interval_seconds=300)
    polls = (poll.samples for poll in Fleet(plan).polls() if poll.agent != CENTRAL)
    return list(islice(polls, hours.start * 12, hours.stop * 12, 12))


def _seal(key: PrivateKey, samples: Sequence[Sample]) -> SealedBatch:
    due = samples[0].timestamp
    return seal_batch(samples, key=key, agent="node", source="compute", due=due, made=due, link=_LINK)


def _measure_keys(key: PrivateKey, sealed: Sequence[SealedBatch]) -> list[Figure]:
    headers = [batch.header_bytes for batch in sealed] * (1 + 600 // len(sealed))
    signing, signatures = _best_of(lambda: [key.sign(header) for header in headers])
    expect("altered headers whose signature is refused", count_refused(key, headers, signatures), len(headers))
    signed = list(zip(signatures, headers, strict=True))
    verifying, _ = _best_of(lambda: [key.public.verify(*pair) for pair in signed])
    hashing, digests = _best_of(lambda: [_hmac(header) for header in headers])
    hashed = list(zip(digests, headers, strict=True))
    comparing, _ = _best_of(lambda: [hmac.compare_digest(digest, _hmac(header)) for digest, header in hashed])
    count = len(headers)
    return [
        Figure("sign a header (Ed25519)", count / signing, "signatures/s", count / hashing, _HMAC),
        Figure("verify a header (Ed25519)", count / verifying, "verifications/s", count / comparing, _HMAC),
    ]


def _hmac(header: bytes) -> bytes:
    return hmac.new(_SECRET, header, hashlib.sha256).digest()


def count_refused(key: PrivateKey, headers: Sequence[bytes], signatures: Sequence[bytes]) -> int:
    """How many signatures no longer hold when one bit of their header is turned. Raises BadSignature for one that never did."""
    refused = 0
    for header, signature in zip(headers, signatures, strict=True):
        key.public.verify(signature, header)
        try:
            key.public.verify(signature, bytes([header[0] ^ 1]) + header[1:])
        except BadSignature:
            refused += 1
    return refused


def _measure_batches(key: PrivateKey, polls: Sequence[list[Sample]]) -> list[Figure]:
    sealing, made = _best_of(lambda: [_seal(key, samples).to_bytes() for samples in polls])
    opening, opened = _best_of(lambda: [_open(key, message) for message in made])
    expect("batches that open to what was sealed", sum(map(list.__eq__, opened, polls)), len(polls))
    samples = [sample for poll in polls for sample in poll]
    writing, messages = _best_of(lambda: [write_message(sample, secret=_SECRET) for sample in samples])
    reading, _ = _best_of(lambda: [open_message(message, secret=_SECRET) for message in messages])
    each = 1e6 / len(samples)
    name = f"polls of {_INSTANCES} instances"
    return [
        Figure(f"seal {name}", len(polls) / sealing, "batches/s"),
        Figure(f"verify and open {name}", len(polls) / opening, "batches/s"),
        Figure("seal, for each sample", sealing * each, "µs/sample", writing * each, _AS_CEILOMETER),
        Figure("verify and open, for each sample", opening * each, "µs/sample", reading * each, _AS_CEILOMETER),
    ]


def _open(key: PrivateKey, message: bytes) -> list[Sample]:
    """As a collector does: take apart, verify, check every digest, decode."""
    batch = parse_batch(message)
    key.public.verify(batch.signature, batch.header_bytes)
    return open_body(batch).samples()


def _measure_wire(sealed: Sequence[SealedBatch], polls: Sequence[Sequence[Sample]]) -> list[Figure]:
    """Bytes that the broker carries: of a batch as it is, beside the objects that Ceilometer would send."""
    count = sum(map(len, polls))
    ours = sum(len(batch.to_bytes()) for batch in sealed)
    theirs = sum(len(write_message(sample, secret=_SECRET)) for samples in polls for sample in samples)
    name = f"wire, polls of {_INSTANCES} instances"
    return [Figure(name, ours / count, "B/sample", theirs / count, _AS_CEILOMETER)]


def _best_of(work: Callable[[], T]) -> tuple[float, T]:
    """CPU seconds of the quickest run of a few, and what the last one returned: other runs had somebody else's cache misses in them."""
    seconds = []
    for _ in range(_RUNS):
        started = time.process_time()
        result = work()
        seconds.append(time.process_time() - started)
    return min(seconds), result
