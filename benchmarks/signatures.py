"""What sealing and verifying a batch costs, CPU only."""

from __future__ import annotations

import time

from benchmarks.figures import Figure
from benchmarks.fleet import seal_fleet
from metering.messages import PrivateKey, open_body, parse_batch

__all__ = ["measure_messages"]

_BATCHES, _SAMPLES = 30, 1000


def measure_messages() -> list[Figure]:
    """µs of CPU for a sample: encoded, hashed and signed; and parsed, verified and decoded."""
    key = PrivateKey.generate()
    started = time.process_time()
    sealed = [
        batch.to_bytes() for batch in seal_fleet(batches=_BATCHES, samples_per_batch=_SAMPLES, key=key, agent="a")
    ]
    sealing = time.process_time() - started
    started = time.process_time()
    for message in sealed:
        batch = parse_batch(message)
        key.public.verify(batch.signature, batch.header_bytes)
        open_body(batch)
    opening = time.process_time() - started
    count = _BATCHES * _SAMPLES
    return [
        Figure("seal a batch of 1000", sealing / count * 1e6, "µs/sample"),
        Figure("verify and open a batch of 1000", opening / count * 1e6, "µs/sample"),
    ]
