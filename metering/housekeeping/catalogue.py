"""What partitions there are, as PostgreSQL's own catalogue tells it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import connection

from .partitions import Parent

__all__ = ["Partition", "list_leftovers", "list_partitions"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ATTACHED = """
SELECT parent.relname, child.relname, pg_get_expr(child.relpartbound, child.oid), i.inhdetachpending,
       pg_total_relation_size(child.oid), nullif(child.reltuples, -1)::bigint
FROM pg_inherits i JOIN pg_class child ON child.oid = i.inhrelid JOIN pg_class parent ON parent.oid = i.inhparent
WHERE parent.oid = ANY(SELECT to_regclass(name) FROM unnest(%s::text[]) AS name)
"""
# A table that was detached and then not dropped, because somebody stopped us in between.
_DETACHED = """
SELECT c.relname, pg_total_relation_size(c.oid), nullif(c.reltuples, -1)::bigint
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND NOT c.relispartition AND n.nspname = current_schema() AND c.relname ~ %s
"""
_bounds = re.compile(r"FOR VALUES FROM \('([^']+)'\) TO \('([^']+)'\)").fullmatch


@dataclass(frozen=True)
class Partition:
    """One partition, from ``low`` up to and without ``high``. ``row_count`` is PostgreSQL's estimate, None before its first."""

    parent: Parent
    name: str
    low: datetime
    high: datetime
    is_detaching: bool
    size_bytes: int
    row_count: int | None


def list_partitions(parents: Iterable[Parent]) -> list[Partition]:
    """All partitions of these tables, oldest first within each table."""
    by_table = {parent.table: parent for parent in parents}
    with connection.cursor() as cursor:
        cursor.execute(_ATTACHED, [list(by_table)])
        rows = cursor.fetchall()
    partitions = [_partition(by_table[table], *rest) for table, *rest in rows]
    order = {table: number for number, table in enumerate(by_table)}
    return sorted(partitions, key=lambda partition: (order[partition.parent.table], partition.low))


def list_leftovers(parent: Parent) -> list[Partition]:
    """Tables that were detached from this parent and not dropped, as the partitions that they were."""
    with connection.cursor() as cursor:
        cursor.execute(_DETACHED, [f"^{parent.table}_[0-9]{{8}}$"])
        rows = cursor.fetchall()
    return [_leftover(parent, *row) for row in sorted(rows)]


def _partition(
    parent: Parent, name: str, bounds: str, is_detaching: bool, size_bytes: int, row_count: int | None
) -> Partition:
    match = _bounds(bounds)
    if match is None:
        raise ValueError(f"partition {name} has the bounds {bounds!r}: expected a range of one column")
    low, high = map(_moment, match.groups())
    return Partition(parent, name, low, high, is_detaching, size_bytes, row_count)


def _leftover(parent: Parent, name: str, size_bytes: int, row_count: int | None) -> Partition:
    # Its bounds went with its attachment; its name says when it begins.
    low = datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC)
    return Partition(parent, name, low, low + parent.span, False, size_bytes, row_count)


def _moment(bound: str) -> datetime:
    """A bound as a time: it is one, or a batch id, which begins with one."""
    try:
        milliseconds = UUID(bound).int >> 80
    except ValueError:
        return datetime.fromisoformat(bound).astimezone(UTC)
    return _EPOCH + timedelta(milliseconds=milliseconds)
