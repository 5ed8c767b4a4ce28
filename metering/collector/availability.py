"""Whether the store can be reached: what a database error means, and what the last statement told."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError, OperationalError, connection

from metering.retention.policy import BadRetentionFile

from .errors import StoreAway, StoreRefused

__all__ = ["StoreAway", "is_away", "is_transient", "look", "waiting_for_store"]

# SQLSTATE classes after which the same statement may succeed later: connection, transaction rollback, resources, object state
# (locks), operator intervention, system error.
_TRANSIENT_CLASSES = ("08", "40", "53", "55", "57", "58")
# The server is there but this database is not (yet), or the role, a table, a column, a right: being restored, reconfigured, migrated.
_TRANSIENT_CODES = ("3D000", "28000", "28P01", "25006", "42P01", "42703", "42501")

_away = threading.Event()


@contextmanager
def waiting_for_store() -> Iterator[None]:
    """Turn what the database says into StoreAway (try later) or StoreRefused (never)."""
    try:
        yield
    except BadRetentionFile as error:
        # No class can be chosen for a new meter, and choosing wrongly could not be undone: everything waits for the file.
        raise StoreAway(str(error)) from error
    except (DatabaseError, InterfaceError) as error:
        if is_transient(error):
            _away.set()
            connection.close_if_unusable_or_obsolete()
            raise StoreAway(str(error).strip()) from error
        raise StoreRefused(str(error).strip()) from error
    _away.clear()


def is_transient(error: Exception) -> bool:
    """Whether the same statement may succeed later. Without a code the connection itself is gone."""
    code = getattr(error.__cause__, "pgcode", None)
    if code is None:
        # A server that dies inside COPY is told of by psycopg2 as a plain DatabaseError.
        return isinstance(error, OperationalError | InterfaceError) or _is_broken()
    return code.startswith(_TRANSIENT_CLASSES) or code in _TRANSIENT_CODES


def _is_broken() -> bool:
    return connection.connection is None or connection.connection.closed != 0


def is_away() -> bool:
    """Whether the store was away when this process last asked it for something."""
    return _away.is_set()


def look() -> bool:
    """Ask the store whether it is there and can be written to."""
    try:
        connection.close_if_unusable_or_obsolete()
        with waiting_for_store(), connection.cursor() as cursor:
            cursor.execute("SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::boolean")
            return not cursor.fetchone()[0]
    except StoreAway:
        return False
