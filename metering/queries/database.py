"""Running a question against the store: bounded in time, and never more than one statement."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings
from django.db import OperationalError, connection

from .errors import TooExpensive

__all__ = ["Statement", "fetch_all"]

_QUERY_CANCELED = "57014"


class Statement(NamedTuple):
    """SQL and its parameters. Adding two puts one after the other."""

    sql: str
    parameters: tuple[Any, ...] = ()

    def then(self, sql: str, *parameters: Any) -> Statement:
        return Statement(self.sql + sql, self.parameters + parameters)

    def then_all(self, *others: Statement) -> Statement:
        """This one followed by the others."""
        sql, parameters = self.sql, self.parameters
        for other in others:
            sql, parameters = sql + other.sql, parameters + other.parameters
        return Statement(sql, parameters)


def fetch_all(statement: Statement, *, timeout_seconds: float | None = None) -> list[tuple[Any, ...]]:
    """The rows. Raises TooExpensive when the store stopped at the timeout, CELOMETER_QUERY_TIMEOUT_SECONDS unless another is given.

    The settings travel in front of the statement in one message: all then run in one transaction, which SET LOCAL ends with,
    and no round trip is added.
    """
    seconds = settings.CELOMETER_QUERY_TIMEOUT_SECONDS if timeout_seconds is None else timeout_seconds
    # Compiling a plan costs more than any of these statements saves by it, once there are many partitions.
    bounded = Statement(f"SET LOCAL statement_timeout = {int(seconds * 1000)}; SET LOCAL jit = off; ").then_all(
        statement
    )
    with connection.cursor() as cursor:
        try:
            cursor.execute(bounded.sql, bounded.parameters)
        except OperationalError as error:
            if getattr(error.__cause__, "pgcode", None) == _QUERY_CANCELED:
                raise TooExpensive(
                    f"The answer took longer than {seconds} s to compute. Narrow the time range, or name a meter, "
                    "resource or project.",
                    value=seconds,
                ) from error
            raise
        return cursor.fetchall()
