"""Bytes of disk for each stored sample, everything counted, beside the narrowest table that could hold the same rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

from django.db import connection
from django.utils import timezone

from benchmarks.figures import Figure
from benchmarks.gates import expect
from metering.collector.ingestion import Result, ingest
from metering.housekeeping.indexes import rebuild_indexes
from metering.housekeeping.partitions import ROLLUPS, WEEK, ensure_weeks, week_of
from metering.housekeeping.rolling import keep_rollups
from metering.messages import PrivateKey, SealedBatch
from metering.models import Agent, AgentKey, Sample
from metering.simulation.fleet import Fleet, Plan
from metering.simulation.sealing import seal_polls

__all__ = ["measure_storage"]

_INTERVAL_SECONDS = 300
_DAY = 86_400
# When every partition that was written is over.
_LATER = timedelta(weeks=60)
# Every table with its TOAST and every index, all forks of them, by the partitioned one that each is a part of: partitions have other names.
_SIZES = """
SELECT coalesce(pg_partition_root(c.oid)::regclass, c.oid::regclass)::text AS root,
       coalesce(pg_partition_root(t.oid)::regclass, t.oid::regclass)::text AS root_table,
       c.relkind = 'i' AS is_index, sum(pg_table_size(c.oid))::bigint AS size_bytes
FROM pg_class c
LEFT JOIN pg_index i ON i.indexrelid = c.oid
JOIN pg_class t ON t.oid = coalesce(i.indrelid, c.oid)
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i')
GROUP BY 1, 2, 3
"""
# What the lines of the table are called; every other table is one of the small ones.
_LINES = {
    "metering_sample": "samples: rows",
    "sample_series_time": "samples: index on series and time",
    "sample_time": "samples: index on time",
    "metering_batch": "ledger: headers and their indexes",
    "metering_batchbody": "ledger: bodies and their index",
    "metering_rolluphour": "rollups: hours and their indexes",
    "metering_rollupday": "rollups: days and their indexes",
    "metering_rollupmark": "marks",
    "metering_rollupdaymark": "marks",
}
_REST = "all other tables"


def measure_storage(*, nodes: int, instances_per_node: int, days: int) -> list[Figure]:
    """Fill the empty store with so many whole days of a make-believe cloud, do housekeeping's work, and weigh everything."""
    stored = _fill(nodes=nodes, instances_per_node=instances_per_node, days=days)
    expect("samples stored", Sample.objects.count(), stored)
    expect("samples in the rollups of days", _sum_of_days(), stored)
    with connection.cursor() as cursor:
        # Autovacuum's part.
        cursor.execute("VACUUM")
    running = sum(_weigh().values())
    while rebuild_indexes(timezone.now() + _LATER):
        pass
    sizes = _weigh()
    plain = _weigh_plain_table(stored)
    lines = sorted(sizes.items(), key=lambda line: -line[1])
    return [
        _figure("storage, everything", sum(sizes.values()), stored, plain),
        _figure("storage, everything, the running week", running, stored, plain),
        *(_figure(f"storage, {name}", size_bytes, stored) for name, size_bytes in lines),
    ]


def _figure(name: str, size_bytes: int, stored: int, plain_bytes: int | None = None) -> Figure:
    if plain_bytes is None:
        return Figure(name, size_bytes / stored, "B/sample")
    return Figure(name, size_bytes / stored, "B/sample", plain_bytes / stored, "a plain table, one index")


def _fill(*, nodes: int, instances_per_node: int, days: int) -> int:
    """Take in every poll of these days as its own batch, and roll up each day when it is over, as happens in life."""
    start = week_of(timezone.now()) - 2 * WEEK
    weeks = [start + number * WEEK for number in range(-(-days // 7))]
    ensure_weeks(weeks)
    ensure_weeks(weeks, parents=ROLLUPS)
    first = int(start.timestamp())
    fleet = Fleet(Plan(nodes, instances_per_node, first, first + days * _DAY, _INTERVAL_SECONDS))
    with connection.cursor() as cursor:
        # What lies on the disk in the end is the same, and nobody waits for it meanwhile.
        cursor.execute("SET synchronous_commit = off")
    count = 0
    for day, batches in groupby(_seal(fleet), key=lambda sealed: sealed.header.due // 1_000_000 // _DAY):
        for sealed in batches:
            expect("a batch was", ingest(sealed.to_bytes()).result, Result.STORED)
            count += sealed.header.count
        _roll(datetime.fromtimestamp((day + 1) * _DAY, UTC))
    return count


def _seal(fleet: Fleet) -> Iterator[SealedBatch]:
    keys = {name: PrivateKey.generate() for name in fleet.agents}
    for name, key in keys.items():
        agent = Agent.objects.create(name=name)
        AgentKey.objects.create(agent=agent, key_id=key.public.id, public_key=key.public.raw)
    return seal_polls(fleet.polls(), keys=keys, unit="0", together=False)


def _roll(now: datetime) -> None:
    while not keep_rollups(now).is_done:
        pass
    with connection.cursor() as cursor:
        # Autovacuum's part: the marks are gone, and their room is used again.
        cursor.execute("VACUUM metering_rollupmark, metering_rollupdaymark")


def _sum_of_days() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(sample_count) FROM metering_rollupday")
        return int(cursor.fetchone()[0])


def _weigh() -> dict[str, int]:
    """Bytes by line of the table."""
    with connection.cursor() as cursor:
        cursor.execute(_SIZES)
        rows = cursor.fetchall()
    sizes: dict[str, int] = {}
    for root, root_table, is_index, size_bytes in rows:
        line = _LINES.get(root if is_index else root_table) or _LINES.get(root_table, _REST)
        sizes[line] = sizes.get(line, 0) + size_bytes
    return sizes


def _weigh_plain_table(expected: int) -> int:
    """Bytes of the narrowest table that answers questions about a resource's meter: no id, no metadata, no proof, no rollups."""
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE plain AS SELECT timestamp, meter_id, resource_id, volume FROM metering_sample ORDER BY id"
        )
        cursor.execute("CREATE INDEX ON plain (meter_id, resource_id, timestamp)")
        cursor.execute("SELECT count(*), pg_total_relation_size('plain') FROM plain")
        count, size_bytes = cursor.fetchone()
        expect("rows of the plain table", count, expected)
        cursor.execute("DROP TABLE plain")
    return int(size_bytes)
