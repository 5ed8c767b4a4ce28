"""Statements with regular expressions in them, which come from outside: told apart from faults of ours, and bounded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import DataError

from .database import Statement, fetch_all
from .errors import FilterError, TooExpensive, shorten

__all__ = ["fetch_matching"]

_BAD_PATTERN = "2201B"
_COMPILING_SECONDS = 0.5


def fetch_matching(statement: Statement, patterns: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of a statement that compares with these patterns. Raises FilterError for one that is no regular expression, or that
    PostgreSQL gives up on; TooExpensive."""
    if patterns:
        # A bad one is told even where there is nothing to compare with; one that explodes costs no more than this.
        compiled = ", ".join(["'' ~ %s"] * len(patterns))
        _run(Statement(f"SELECT {compiled}", tuple(patterns)), patterns, timeout_seconds=_COMPILING_SECONDS)
    return _run(statement, patterns)


def _run(
    statement: Statement, patterns: Sequence[str], *, timeout_seconds: float | None = None
) -> list[tuple[Any, ...]]:
    try:
        return fetch_all(statement, timeout_seconds=timeout_seconds)
    except TooExpensive as error:
        if timeout_seconds is None:
            raise
        reason = f"regular expressions take longer than {timeout_seconds} s to compile"
        raise FilterError(f"{reason}: {shorten(' or '.join(patterns))}", value=patterns[0]) from error
    except DataError as error:
        if getattr(error.__cause__, "pgcode", None) != _BAD_PATTERN:
            raise
        reason = str(error).splitlines()[0]
        raise FilterError(f"{reason}: {shorten(' or '.join(patterns))}", value=patterns[0]) from error
