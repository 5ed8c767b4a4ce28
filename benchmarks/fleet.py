"""A made-up fleet, for benchmarks: instances with metadata of the usual size, ten meters each."""

from __future__ import annotations

import time
from collections.abc import Iterator
from uuid import UUID, uuid4

from metering.messages import Link, Meter, PrivateKey, Resource, Sample, SealedBatch, seal_batch

__all__ = ["METERS", "instance", "seal_fleet"]

METERS = [
    Meter("cpu", "cumulative", "ns"),
    Meter("vcpus", "gauge", "vcpu"),
    Meter("memory", "gauge", "MiB"),
    Meter("memory.usage", "gauge", "MiB"),
    Meter("disk.read.bytes", "cumulative", "B"),
    Meter("disk.write.bytes", "cumulative", "B"),
    Meter("disk.read.requests", "cumulative", "request"),
    Meter("disk.write.requests", "cumulative", "request"),
    Meter("network.incoming.bytes", "cumulative", "B"),
    Meter("network.outgoing.bytes", "cumulative", "B"),
]


def seal_fleet(*, batches: int, samples_per_batch: int, key: PrivateKey, agent: str) -> Iterator[SealedBatch]:
    """Batches as one agent would send them, five minutes apart, ending now."""
    instances = [instance(number) for number in range(samples_per_batch // len(METERS))]
    stream, previous = uuid4(), ""
    first = (time.time_ns() // 1000) - batches * 300_000_000
    for number in range(batches):
        due = first + number * 300_000_000
        samples = [
            Sample(meter, instance, due + 1234, str((number * 7919 + at * 104_729) % 10**12))
            for at, instance in enumerate(instances)
            for meter in METERS
        ]
        sealed = seal_batch(
            samples, key=key, agent=agent, source="compute", due=due, made=due, link=Link(stream, number + 1, previous)
        )
        previous = sealed.header_digest
        yield sealed


def instance(number: int) -> Resource:
    """One instance of the fleet."""
    return Resource(
        id=str(UUID(int=0x5B7E2C1A << 96 | number)),
        source="openstack",
        project=f"{number % 40:032x}",
        user=f"{number % 90:032x}",
        metadata={
            "display_name": f"web-{number}",
            "name": f"instance-{number:08x}",
            "host": "a" * 56,
            "instance_host": "compute-07.example.net",
            "state": "running",
            "status": "active",
            "vcpus": 2,
            "memory_mb": 4096,
            "flavor": {"name": "m1.medium", "vcpus": 2, "ram": 4096, "disk": 40, "ephemeral": 0},
            "image": {"id": str(UUID(int=number % 7))},
        },
    )
