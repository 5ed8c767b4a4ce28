"""Many rows in one statement, by psycopg2's own means, with errors as Django's like those of every other statement."""

from __future__ import annotations

from collections.abc import Sequence
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


def copy_rows(cursor: CursorWrapper, sql: str, lines: str) -> None:
    """Run a ``COPY … FROM STDIN`` with lines in its text format."""
    with connection.wrap_database_errors:
        cursor.copy_expert(sql, StringIO(lines))
