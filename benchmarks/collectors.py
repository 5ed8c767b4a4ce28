"""Collectors of their own processes, as in production, and how a measurement feeds them and knows that they are done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO

from agents.broker import publish_batch
from benchmarks.gates import expect
from metering.messages import PrivateKey, SealedBatch
from metering.models import Agent, AgentKey, Batch, Sample

__all__ = ["await_batches", "collect", "collectors", "enroll"]

_COMMAND = ("-m", "celery", "-A", "config", "worker", "-Q", "collector", "-l", "INFO")
_AGENT = "bench"


def enroll() -> tuple[PrivateKey, str]:
    """A new key of the benchmarks' agent, and the agent's name."""
    key = PrivateKey.generate()
    agent, _ = Agent.objects.get_or_create(name=_AGENT)
    AgentKey.objects.create(agent=agent, key_id=key.public.id, public_key=key.public.raw)
    return key, _AGENT


@contextmanager
def collectors(count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """So many collectors, ready to work."""
    environment = {**os.environ, "CELOMETER_LOG_LEVEL": "INFO"}
    with ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(count)]
        processes = [
            subprocess.Popen(
                [sys.executable, *_COMMAND, "-n", f"bench{number}@%h"], env=environment, stdout=log, stderr=log
            )
            for number, log in enumerate(logs)
        ]
        try:
            for process, log in zip(processes, logs, strict=True):
                _await_ready(process, log)
            yield processes
        finally:
            for process in processes:
                process.send_signal(signal.SIGTERM)
            for process in processes:
                process.wait(30)


def _await_ready(process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    while b"ready." not in os.pread(log.fileno(), 1_000_000, 0):
        if process.poll() is not None:
            raise AssertionError(f"a collector ended: {os.pread(log.fileno(), 1_000_000, 0).decode()}")
        time.sleep(0.05)


def collect(sealed: Sequence[SealedBatch], *, count: int = 1) -> float:
    """Samples a second of so many collectors, from the broker to the commit. Raises WrongAnswer if not every sample is there.

    The first batch does not count: it makes the small tables' rows.
    """
    before = Sample.objects.count()
    first, *rest = sealed
    with collectors(count) as processes:
        publish_batch(first.to_bytes())
        await_batches([first])
        # All wait in the broker before the clock starts: publishing is the senders' work, on other machines.
        for process in processes:
            process.send_signal(signal.SIGSTOP)
        for batch in rest:
            publish_batch(batch.to_bytes())
        started = time.perf_counter()
        for process in processes:
            process.send_signal(signal.SIGCONT)
        await_batches(rest[-2 * count :])
        elapsed = time.perf_counter() - started
    expect("samples stored", Sample.objects.count() - before, sum(batch.header.count for batch in sealed))
    return sum(batch.header.count for batch in rest) / elapsed


def await_batches(sealed: Sequence[SealedBatch]) -> None:
    """Look for the ids of the last ones, which costs the store next to nothing: a queue is worked off in order."""
    ids = [batch.header.id for batch in sealed]
    while Batch.objects.filter(pk__in=ids).count() < len(ids):
        time.sleep(0.01)
