"""Indexes of weeks that are over, built anew: they come to two thirds of their size.

A series' entries lie side by side in its index, so every page of it is split in the middle again and again, and what lies on the left never
grows: while a week is written its pages end up little more than half full. Once it is over few entries come, and full pages serve.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from django.db import OperationalError, connection

from metering.collector.availability import waiting_for_store

from .alterations import alter, lacks_lock
from .catalogue import list_partitions
from .locks import Job, holding
from .partitions import ROLLUPS, samples_parents

__all__ = ["rebuild_indexes"]

logger = logging.getLogger(__name__)
# How long after its end a partition is still written to by agents that send what they have kept.
_LATE = timedelta(days=1)
# The index by which a partition is judged, of samples and of rollups alike on two integers and a time: its entries have one width.
_SERIES = "(sample|rolluphour|rollupday)_series_time"
_ENTRY_BYTES = 28
# Worth the work: so much larger than full pages would be, and not a trifle.
_SLACK = 1.25
_LEAST_BYTES = 2**20
# Nobody queues behind this wait; the longest question is over by then.
_LOCK_TIMEOUT = "60s"
# The table's count is as of its last vacuum or analyze, which come by themselves after many inserts; the index's of its rebuilding.
_INDEXES = """
SELECT t.relname, pg_relation_size(c.oid), greatest(c.reltuples, t.reltuples)::bigint
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relname = ANY(%s) AND c.relispartition AND pg_partition_root(c.oid)::regclass::text ~ %s
"""
# What a rebuilding that was stopped has left beside the indexes.
_LEFTOVERS = """
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
WHERE t.relname = ANY(%s) AND NOT i.indisvalid AND NOT c.relispartition AND c.relname ~ '_cc(new|old)[0-9]*$'
"""
# The one that the table is judged by comes last: who is stopped before it begins again.
_NAMES = f"""
SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = to_regclass(%s)
ORDER BY pg_partition_root(c.oid)::regclass::text ~ '^{_SERIES}$', 1
"""


class _Candidate(NamedTuple):
    table: str
    excess_bytes: int


def rebuild_indexes(now: datetime) -> str:
    """Build the indexes of one partition that is over anew, that of most gain; return its name, "" when there is little to gain.

    Reads and writes go on meanwhile. One a time, for those of a large one take minutes; none when another session does it already.
    Raises StoreAway.
    """
    with waiting_for_store(), holding(Job.INDEXES) as mine:
        if not mine:
            return ""
        over = [p.name for p in list_partitions((*samples_parents(), *ROLLUPS)) if p.high + _LATE <= now]
        try:
            for name in _list(_LEFTOVERS, over):
                alter(f"DROP INDEX CONCURRENTLY {name}", lock_timeout=_LOCK_TIMEOUT)
            loose = max(_find_loose(over), key=lambda candidate: candidate.excess_bytes, default=None)
            if loose is None:
                return ""
            for name in _list(_NAMES, loose.table):
                alter(f"ALTER INDEX {name} SET (fillfactor = 100)", lock_timeout=_LOCK_TIMEOUT)
                alter(f"REINDEX INDEX CONCURRENTLY {name}", lock_timeout=_LOCK_TIMEOUT)
        except OperationalError as error:
            if not lacks_lock(error):
                raise
            logger.info("indexes of a table in use are built anew in a later round: %s", error)
            return ""
    logger.info("built the indexes of %s anew, %d MB less", loose.table, loose.excess_bytes // 2**20)
    return loose.table


def _find_loose(tables: list[str]) -> Iterator[_Candidate]:
    with connection.cursor() as cursor:
        cursor.execute(_INDEXES, [tables, f"^{_SERIES}$"])
        rows = cursor.fetchall()
    for table, size_bytes, count in rows:
        full_bytes = max(count, 0) * _ENTRY_BYTES
        if full_bytes and size_bytes > max(_LEAST_BYTES, _SLACK * full_bytes):
            yield _Candidate(table, size_bytes - full_bytes)


def _list(query: str, argument: object) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(query, [argument])
        return [name for (name,) in cursor.fetchall()]
