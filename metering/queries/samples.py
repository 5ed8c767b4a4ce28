"""Samples as lists and one by one, newest first, in one statement each."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from metering.messages import batch_of

from .conditions import (
    meter_conditions,
    owner_conditions,
    parse_sample_id,
    sample_conditions,
    state_conditions,
)
from .database import Statement, fetch_all
from .filters import SampleFilter, Scope
from .floors import check_floor
from .metadata import flatten
from .walks import DIMENSIONS, SAMPLE_COLUMNS, SamplePosition, Selection, TimeOrder, walk_samples

__all__ = ["SampleRow", "find_sample", "list_samples", "sample_row"]

NEWEST_FIRST = TimeOrder(newest_first=True)


class SampleRow(NamedTuple):
    """A sample with everything that it refers to. ``metadata`` is flat (see ``metadata.flatten``)."""

    id: UUID
    meter: str
    type: str
    unit: str
    volume: Decimal
    resource_id: str
    source: str
    project_id: str | None
    user_id: str | None
    timestamp: datetime
    recorded_at: datetime | None
    metadata: dict[str, str]


def list_samples(
    wanted: SampleFilter, *, scope: Scope, limit: int, after: SamplePosition | None = None
) -> list[SampleRow]:
    """The newest matching samples, at most ``limit``, of those behind ``after``; equal times in the order in which they were stored.

    Raises NoLongerKept when the window begins before the time from which samples are kept.
    """
    check_floor(wanted)
    if wanted.message_id is not None:
        sample = parse_sample_id(wanted.message_id)
        statement = _by_id(sample, wanted, scope, after) if sample else None
    else:
        statement = walk_samples(_selection(wanted, scope), order=NEWEST_FIRST, after=after, limit=limit)
    return [sample_row(row) for row in fetch_all(statement)] if statement else []


def find_sample(sample_id: str, *, scope: Scope) -> SampleRow | None:
    """The sample with this id, when the caller may see it."""
    found = list_samples(SampleFilter(message_id=sample_id), scope=scope, limit=1)
    return found[0] if found else None


def sample_row(row: tuple[Any, ...]) -> SampleRow:
    """A row of ``walks.SAMPLE_COLUMNS``."""
    return SampleRow(*row[:-1], metadata=flatten(row[-1]))


def _selection(wanted: SampleFilter, scope: Scope) -> Selection:
    return Selection(
        series=Statement("").then_all(owner_conditions(wanted, scope), meter_conditions(wanted)),
        window=sample_conditions(wanted),
        states=state_conditions(wanted),
        samples=Statement(""),
        tables=frozenset(),
        is_narrow=wanted.names_series() or scope.projects is not None,
        is_pinned=wanted.resource is not None,
    )


def _by_id(sample: UUID, wanted: SampleFilter, scope: Scope, after: SamplePosition | None) -> Statement:
    """The ledger says between which times the batch's samples lie: there, and nowhere else, the id is looked for."""
    start = Statement(SAMPLE_COLUMNS).then(
        "FROM metering_batch held JOIN metering_sample s ON s.timestamp BETWEEN held.first_sample_at AND held.last_sample_at"
    )
    return (
        start.then(f"{DIMENSIONS} AND held.id = %s", batch_of(sample))
        .then_all(owner_conditions(wanted, scope), meter_conditions(wanted))
        .then_all(sample_conditions(wanted), state_conditions(wanted), NEWEST_FIRST.after(after))
    )
