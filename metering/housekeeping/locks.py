"""Advisory locks: which job may run once at a time. One table of keys, so that no two jobs share one by accident."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

from django.db import connection

__all__ = ["Job", "holding"]

# The first of PostgreSQL's two key numbers: ours among the locks of other programs in the database.
_CELOMETER = 0x43454C4F


class Job(IntEnum):
    """Every job that holds a lock."""

    PARTITIONS = 1
    PARKED = 2
    RETENTION = 3


@contextmanager
def holding(job: Job) -> Iterator[bool]:
    """Hold the job's lock for this session; yields False at once when another session holds it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [_CELOMETER, job])
        (mine,) = cursor.fetchone()
    try:
        yield mine
    finally:
        # A connection that broke has lost its locks by itself.
        if mine and connection.connection is not None and not connection.connection.closed:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [_CELOMETER, job])
