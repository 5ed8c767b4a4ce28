"""Counts of requests whose minute is long over: one row stays for every caller and address otherwise."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import connection

__all__ = ["forget_counts"]

_KEEP = timedelta(hours=1)
_ROWS_PER_RUN = 20_000
_FORGET = """
DELETE FROM metering_requestcount
WHERE key = ANY(ARRAY(SELECT key FROM metering_requestcount WHERE minute < %s LIMIT %s FOR UPDATE SKIP LOCKED))
"""


def forget_counts(now: datetime) -> int:
    """Delete a bounded number of them; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, [int((now - _KEEP).timestamp()) // 60, _ROWS_PER_RUN])
        return int(cursor.rowcount)
