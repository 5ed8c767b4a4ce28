"""What collector processes take in, from the broker, beside raw COPY of the same rows into the same tables."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from io import StringIO
from time import perf_counter

from django.db import connection, transaction

from benchmarks.collectors import collect, enroll
from benchmarks.figures import Figure
from benchmarks.fleet import seal_fleet
from benchmarks.gates import expect
from metering.messages import SealedBatch
from metering.models import Batch, Sample, Series

__all__ = ["measure_growth", "measure_ingest", "measure_scaling"]

_TABLES = ("metering_sample", "metering_rollupmark", "metering_batch", "metering_batchbody")
# Ids of resources that the fleet does not have.
_OTHERS_FROM, _OTHERS = 1_000_000, 2_000
_FILL = """
INSERT INTO metering_sample (timestamp, meter_id, retention_class, resource_id, state_id, id, volume)
SELECT date_trunc('week', now(), 'UTC') + (number + %s) * interval '40 milliseconds', meter, 0, resource, 1,
       gen_random_uuid(), number * 7919
FROM generate_series(1, %s) number, unnest(%s::int[]) meter, unnest(%s::int[]) resource
"""


def measure_ingest(*, batches: int, samples_per_batch: int) -> list[Figure]:
    """Samples a second of one collector, and of COPY with as many commits. Raises WrongAnswer."""
    sealed = _fleet(batches, samples_per_batch)
    collected = collect(sealed)
    copied = _copy_again(connections=1)
    name = f"ingest, one collector, batches of {samples_per_batch}"
    return [Figure(name, collected, "samples/s", copied, "COPY of the same rows, as many commits")]


def measure_scaling(*, batches: int) -> list[Figure]:
    """Two collectors beside one, and COPY over two connections beside one: as far as PostgreSQL itself goes. Raises WrongAnswer."""
    one = collect(_fleet(batches, 1000))
    copied_by_one = _copy_again(connections=1)
    two = collect(_fleet(batches, 1000), count=2)
    copied_by_two = _copy_again(connections=2)
    return [
        Figure("ingest, two collectors, batches of 1000", two, "samples/s", one, "one collector"),
        Figure("COPY over two connections", copied_by_two, "samples/s", copied_by_one, "over one"),
    ]


def measure_growth(*, samples: int, more_samples: int, batches: int) -> list[Figure]:
    """One collector where so many samples of this week are stored already, and where so many more are. Raises WrongAnswer.

    The first are of the fleet that goes on to be metered: an index in which each series has but a few entries yet is faster than it stays.
    """
    collect(_fleet(2, 1000))
    meters = list(Series.objects.values_list("meter_id", flat=True).distinct())
    own = list(Series.objects.values_list("resource_id", flat=True).distinct())
    speeds = []
    for resources, total in ((own, samples), (range(_OTHERS_FROM, _OTHERS_FROM + _OTHERS), more_samples)):
        _fill(meters, list(resources), total)
        # The better of two: they are minutes apart, and the machine may have had other work.
        speeds.append(max(collect(_fleet(batches, 1000)) for _ in range(2)))
    few, many = speeds
    name = f"ingest beside {more_samples / 1e6:g} million samples"
    return [Figure(name, many, "samples/s", few, f"beside {samples / 1e6:g} million")]


def _fleet(batches: int, samples_per_batch: int) -> list[SealedBatch]:
    key, agent = enroll()
    return list(seal_fleet(batches=batches, samples_per_batch=samples_per_batch, key=key, agent=agent))


def _fill(meters: Sequence[int], resources: Sequence[int], total: int) -> None:
    """Store samples of these until there are ``total``, as if all had been polled again and again."""
    poll = len(meters) * len(resources)
    with connection.cursor() as cursor:
        stored = Sample.objects.count()
        while stored < total:
            polls = max(1, min(500_000, total - stored) // poll)
            cursor.execute(_FILL, [stored // poll, polls, meters, resources])
            stored += cursor.rowcount
        # What was written at once is tidied up and flushed to the disk now, not while we measure. To make a database and drop it is how one
        # who may not order a checkpoint gets one.
        cursor.execute("VACUUM (ANALYZE) metering_sample")
        cursor.execute("CREATE DATABASE celometer_flush STRATEGY file_copy")
        cursor.execute("DROP DATABASE celometer_flush")
    os.sync()


def _copy_again(*, connections: int) -> float:
    """Empty the tables and COPY the very rows that the collector wrote, batch by batch with a commit each; samples a second."""
    parts, expected = _dump_rows(), Sample.objects.count()
    _truncate()
    shares = [parts[number::connections] for number in range(connections)]
    with ThreadPoolExecutor(connections) as threads:
        list(threads.map(_connect, shares))
        started = perf_counter()
        list(threads.map(_copy, shares))
        elapsed = perf_counter() - started
    expect("samples copied", Sample.objects.count(), expected)
    _truncate()
    return expected / elapsed


def _connect(_: object) -> None:
    connection.ensure_connection()


def _copy(parts: Sequence[dict[str, str]]) -> None:
    for part in parts:
        with transaction.atomic(), connection.cursor() as cursor:
            for table, text in part.items():
                cursor.copy_expert(f"COPY {table} FROM STDIN", StringIO(text), len(text) + 1)


def _truncate() -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(_TABLES)}")


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
