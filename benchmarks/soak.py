"""Whether a collector's memory stays flat: batches for an hour, with resources that come and go.

    python -m benchmarks.soak                   # an hour
    python -m benchmarks.soak --minutes 5

Every batch brings resources that nobody has seen, as in a cloud whose instances live for minutes: what a collector remembers of them is
bounded, so its memory rises to that bound, falls, and rises again. What counts is that the peaks do not grow. One line a minute.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from uuid import uuid4

import psutil

from benchmarks.fleet import METERS, instance
from benchmarks.servers import own_servers
from metering.messages import Link, PrivateKey, Sample, SealedBatch, seal_batch

_INSTANCES, _NEW_PER_BATCH = 20, 10


def churning_batches(key: PrivateKey, *, agent: str) -> Iterator[SealedBatch]:
    """Batches of now, for ever; half of the instances of each are new."""
    stream, previous, sequence = uuid4(), "", 0
    while True:
        due = time.time_ns() // 1000
        alive = [instance(sequence * _NEW_PER_BATCH + number) for number in range(_INSTANCES)]
        samples = [Sample(meter, resource, due, str(sequence)) for resource in alive for meter in METERS]
        sequence += 1
        sealed = seal_batch(
            samples, key=key, agent=agent, source="compute", due=due, made=due, link=Link(stream, sequence, previous)
        )
        previous = sealed.header_digest
        yield sealed


def soak(*, minutes: int, batches_per_second: float) -> list[float]:
    """The collector's resident megabytes, highest of each minute. Raises AssertionError when a batch is missing at the end."""
    from agents.broker import publish_batch
    from benchmarks.collectors import await_batches, collectors, enroll
    from metering.models import Batch

    key, agent = enroll()
    batches = churning_batches(key, agent=agent)
    peaks, sent = [], 0
    with collectors(1) as (worker,):
        process = psutil.Process(worker.pid)
        for minute in range(minutes):
            ends_at, peak = time.monotonic() + 60, 0
            while time.monotonic() < ends_at:
                sealed = next(batches)
                publish_batch(sealed.to_bytes())
                sent += 1
                time.sleep(1 / batches_per_second)
                peak = max(peak, process.memory_info().rss)
            peaks.append(peak / 1e6)
            print(f"minute {minute + 1:3}: {sent:7,} batches sent, {peak / 1e6:6.1f} MB at most", flush=True)
        await_batches([sealed])
    if Batch.objects.count() != sent:
        raise AssertionError(f"{Batch.objects.count()} batches stored, {sent} sent")
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--batches-per-second", type=float, default=12)
    options = parser.parse_args()
    with own_servers():
        from benchmarks.stores import clean_store, make_template

        make_template()
        with clean_store("soak"):
            peaks = soak(minutes=options.minutes, batches_per_second=options.batches_per_second)
    half = len(peaks) // 2
    if half:
        print(f"highest of the first half {max(peaks[:half]):.1f} MB, of the second {max(peaks[half:]):.1f} MB")


if __name__ == "__main__":
    main()
