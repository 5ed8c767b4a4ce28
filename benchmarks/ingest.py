"""What one collector process takes in, from the broker, beside raw COPY of the same rows into the same tables."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from io import StringIO

from django.db import connection, transaction

from agents.node import publish_batch
from benchmarks.figures import Figure
from benchmarks.fleet import seal_fleet
from metering.messages import PrivateKey, SealedBatch
from metering.models import Agent, AgentKey, Batch, Sample

__all__ = ["measure_ingest"]

_TABLES = ("metering_sample", "metering_rollupmark", "metering_batch", "metering_batchbody")


def measure_ingest(*, batches: int, samples_per_batch: int) -> list[Figure]:
    """Samples a second of one collector, and of COPY with as many commits. A wrong count has no speed: it raises."""
    key = PrivateKey.generate()
    agent, _ = Agent.objects.get_or_create(name="bench")
    AgentKey.objects.create(agent=agent, key_id=key.public.id, public_key=key.public.raw)
    sealed = list(seal_fleet(batches=batches, samples_per_batch=samples_per_batch, key=key, agent="bench"))
    collected = _collect(sealed, expected=batches * samples_per_batch)
    copied = _copy_again(batches * samples_per_batch)
    name = f"ingest, one collector, batches of {samples_per_batch}"
    return [
        Figure(name, collected, "samples/s", copied, "COPY of the same rows, as many commits"),
        Figure(
            f"wire, batches of {samples_per_batch}",
            sum(len(batch.to_bytes()) for batch in sealed) / (batches * samples_per_batch),
            "B/sample",
            sum(batch.header.body_bytes for batch in sealed) / (batches * samples_per_batch),
            "the body uncompressed",
        ),
    ]


def _collect(sealed: Sequence[SealedBatch], *, expected: int) -> float:
    # One batch first: it makes the small tables' rows, and shows when the worker has come up.
    with _worker() as process:
        publish_batch(sealed[0].to_bytes())
        _await_batch(sealed[0])
        # All wait in the broker before the clock starts: publishing is the senders' work, on other machines.
        process.send_signal(signal.SIGSTOP)
        for batch in sealed[1:]:
            publish_batch(batch.to_bytes())
        started = time.perf_counter()
        process.send_signal(signal.SIGCONT)
        _await_batch(sealed[-1])
        elapsed = time.perf_counter() - started
    if Sample.objects.count() != expected:
        raise AssertionError(f"{Sample.objects.count()} samples stored, expected {expected}")
    return (expected - sealed[0].header.count) / elapsed


def _await_batch(sealed: SealedBatch) -> None:
    """Look for one id, which costs the store next to nothing: the queue is worked off in order."""
    while not Batch.objects.filter(pk=sealed.header.id).exists():
        time.sleep(0.01)


class _worker:
    """A collector of its own process, as in production."""

    def __enter__(self) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "config",
            "worker",
            "-Q",
            "collector",
            "-n",
            "bench@%h",
            "-l",
            "ERROR",
        ]
        environment = {**os.environ, "CELOMETER_LOG_LEVEL": "ERROR"}
        self._process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return self._process

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(30)


def _copy_again(expected: int) -> float:
    """Empty the tables and COPY the very rows that the collector wrote, batch by batch with a commit each."""
    parts = _dump_rows()
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(_TABLES)}")
    started = time.perf_counter()
    for part in parts:
        with transaction.atomic(), connection.cursor() as cursor:
            for table, text in part.items():
                cursor.copy_expert(f"COPY {table} FROM STDIN", StringIO(text))
    elapsed = time.perf_counter() - started
    if Sample.objects.count() != expected:
        raise AssertionError(f"{Sample.objects.count()} samples copied, expected {expected}")
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(_TABLES)}")
    return expected / elapsed


def _dump_rows() -> list[dict[str, str]]:
    selections = {
        "metering_batch": "SELECT * FROM metering_batch WHERE id = '{id}'",
        "metering_batchbody": "SELECT * FROM metering_batchbody WHERE id = '{id}'",
        "metering_sample": "SELECT * FROM metering_sample WHERE id >= '{id}' AND id < '{last}'",
        "metering_rollupmark": "SELECT * FROM metering_rollupmark WHERE batch_id = '{id}'",
    }
    parts = []
    with connection.cursor() as cursor:
        for batch_id in Batch.objects.order_by("id").values_list("id", flat=True):
            part = {}
            for table, query in selections.items():
                text = StringIO()
                bounds = {"id": batch_id, "last": str(batch_id)[:-5] + "fffff"}
                cursor.copy_expert(f"COPY ({query.format(**bounds)}) TO STDOUT", text)
                part[table] = text.getvalue()
            parts.append(part)
    return parts
