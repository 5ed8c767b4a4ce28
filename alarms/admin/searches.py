"""What the search fields of operators' pages find: one thing by its id, or all that the words name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from metering.admin.base import parse_uuid

__all__ = ["search"]

Row = TypeVar("Row", bound=Model)


def search(
    rows: QuerySet[Row], term: str, *, ids: Sequence[str], words: Callable[[str], Q]
) -> tuple[QuerySet[Row], bool]:
    """In the form of ``get_search_results``. The first of the id fields that finds something counts; ids of projects look like others."""
    term = term.strip()
    if not term:
        return rows, False
    if "\x00" in term:
        return rows.none(), False
    wanted = parse_uuid(term)
    for field in ids if wanted else ():
        if (found := rows.filter(**{field: wanted})).exists():
            return found, False
    return rows.filter(words(term)), False
