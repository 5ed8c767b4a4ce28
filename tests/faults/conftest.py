"""What tests of faults share: a lock that makes a worker stand still at a statement, a door to the store, and partitions that go again."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import psycopg2
import pytest
from django.db import connection

from tests.support.roles import wait_until

Barrier = Callable[[str], AbstractContextManager[Callable[..., None]]]


@pytest.fixture
def barrier(store: None) -> Barrier:
    """``with barrier("table") as await_victim``: nobody reads or writes it; ``await_victim()`` returns when somebody tries."""

    @contextmanager
    def stand_before(table: str) -> Iterator[Callable[..., None]]:
        lock = psycopg2.connect(**connection.get_connection_params() | {"cursor_factory": None})
        try:
            with lock.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
            yield lambda count=1: wait_until(
                lambda: _count_waiting() >= count, what=f"{count} workers stand before {table} or one another"
            )
        finally:
            lock.close()

    return stand_before


def _count_waiting() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return cursor.fetchone()[0]


@pytest.fixture
def old_partitions_gone(store: None) -> Iterator[None]:
    """Partitions of earlier years that the test makes are dropped again: other tests empty every one of them each time."""
    yield
    with connection.cursor() as cursor:
        cursor.execute(
            r"SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^metering_.*_20(0\d|1\d|2[0-4])\d{4}$'"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")


class Door:
    """Lets others into this test's database, or ends their connections and refuses new ones. This process stays inside."""

    def __init__(self) -> None:
        self.name = connection.settings_dict["NAME"]
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            self._own_pid = cursor.fetchone()[0]

    def shut(self) -> None:
        self._execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS false')
        self._execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            f" WHERE datname = '{self.name}' AND pid <> {self._own_pid}"
        )

    def open(self) -> None:
        self._execute(f'ALTER DATABASE "{self.name}" ALLOW_CONNECTIONS true')

    def _execute(self, sql: str) -> None:
        # No session can shut the database that it is in.
        parameters = connection.get_connection_params() | {"dbname": "postgres", "cursor_factory": None}
        with contextlib.closing(psycopg2.connect(**parameters)) as outside:
            outside.autocommit = True
            with outside.cursor() as cursor:
                cursor.execute(sql)


@pytest.fixture
def door(store: None) -> Iterator[Door]:
    door = Door()
    yield door
    door.open()
