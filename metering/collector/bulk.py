"""Many rows in one statement, by psycopg2's own means, with errors as Django's like those of every other statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from io import StringIO
from typing import Any

from django.db import connection
from django.db.backends.utils import CursorWrapper
from psycopg2.extras import execute_values

__all__ = ["copy_rows", "fetch_for_values", "insert_values"]


def insert_values(cursor: CursorWrapper, sql: str, rows: Sequence[tuple[Any, ...]]) -> None:
    """Run an ``INSERT … VALUES %s`` for all rows at once."""
    with connection.wrap_database_errors:
        execute_values(cursor.cursor, sql, rows, page_size=len(rows))


def fetch_for_values(cursor: CursorWrapper, sql: str, rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Run a statement over ``VALUES %s`` of all rows at once and return what it gives."""
    with connection.wrap_database_errors:
        return execute_values(cursor.cursor, sql, rows, page_size=len(rows), fetch=True)


def copy_rows(cursor: CursorWrapper, sql: str, lines: str, *, meanwhile: Callable[[], None] | None = None) -> None:
    """Run a ``COPY … FROM STDIN`` with lines in its text format.

    ``meanwhile`` is called once the server has all of them and only its answer is missing.
    """
    with connection.wrap_database_errors:
        # In one piece: every further piece would wait its turn among this process's threads.
        cursor.copy_expert(sql, _Lines(lines, meanwhile), max(len(lines), 1))


class _Lines(StringIO):
    def __init__(self, lines: str, at_end: Callable[[], None] | None) -> None:
        super().__init__(lines)
        self._at_end = at_end

    def read(self, size: int | None = -1) -> str:
        part = super().read(size)
        if not part and self._at_end:
            self._at_end()
        return part
