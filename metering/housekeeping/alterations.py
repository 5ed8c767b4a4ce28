"""Changing tables that are in use: a lock is waited for briefly, for whoever waits for one makes others wait, too."""

from __future__ import annotations

import time
from collections.abc import Callable

from django.db import OperationalError, connection

__all__ = ["LOCK_TIMEOUT", "alter", "lacks_lock", "patiently"]

LOCK_TIMEOUT = "2s"
_LOCK_NOT_AVAILABLE = "55P03"
_ATTEMPTS = 5


def alter(sql: str, *, lock_timeout: str = LOCK_TIMEOUT) -> None:
    """One statement in a transaction of its own, as CONCURRENTLY demands. Names in it come from the catalogue or from us.

    Raises OperationalError for which ``lacks_lock`` is true when the lock was not got in time.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = '{lock_timeout}'")
        try:
            cursor.execute(sql)
        finally:
            if connection.connection is not None and not connection.connection.closed:
                cursor.execute("RESET lock_timeout")


def lacks_lock(error: OperationalError) -> bool:
    """Whether a change failed only because others used the table."""
    return getattr(error.__cause__, "pgcode", None) == _LOCK_NOT_AVAILABLE


def patiently(change: Callable[[], None]) -> None:
    """Make a change that needs a lock; one that was not got is asked for again, some times. Raises OperationalError in the end."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            change()
            return
        except OperationalError as error:
            if not lacks_lock(error) or attempt == _ATTEMPTS:
                raise
            time.sleep(0.1 * attempt)
