"""Samples found by the complex query language, in the order that was asked for, in one statement (and a small one for patterns)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple
from uuid import UUID

from .complex import FIELDS, Expression, Kind, OrderKey
from .conditions import SERIES, owner_conditions
from .database import Statement
from .errors import shorten
from .expressions import COLUMNS, Conditions, find_patterns, find_window, names_one, split_conditions
from .filters import SampleFilter, Scope
from .floors import check_floor
from .patterns import fetch_matching
from .samples import SampleRow, sample_row
from .values import parse_number, read_time
from .walks import DIMENSIONS, SAMPLE_COLUMNS, SamplePosition, Selection, TimeOrder, walk_samples

__all__ = ["FoundSample", "SampleSearch", "search_samples"]

_NULLABLE = frozenset({"user", "project", "recorded_at", "message_signature"})
_TIES = (OrderKey("timestamp", descending=True), OrderKey("message_id", descending=False))
_BY_TIME = {
    (OrderKey("timestamp", descending=newest_first), OrderKey("message_id", descending=False)): TimeOrder(newest_first)
    for newest_first in (True, False)
}
_CASTS = {Kind.TEXT: "text", Kind.NUMBER: "numeric", Kind.TIME: "timestamptz", Kind.ID: "uuid"}


class SampleSearch(NamedTuple):
    """What to find (None: everything) and how to order it.

    ``order`` None means newest first, and no keys the order of storage: oldest first, but for samples that came late. What the
    order leaves open is decided by time, newest first, then by id.
    """

    expression: Expression | None = None
    order: tuple[OrderKey, ...] | None = None

    @property
    def keys(self) -> tuple[OrderKey, ...]:
        """All that the answer is ordered by, so that no two samples stand in one place."""
        given = self.order
        if given is None:
            given = ()
        elif not given:
            given = (OrderKey("timestamp", descending=False),)
        fields = {key.field for key in given}
        return (*given, *(key for key in _TIES if key.field not in fields))

    def read_position(self, texts: Sequence[str | None]) -> tuple[Any, ...]:
        """A FoundSample's position as values. Raises ValueError for what cannot be one in this order."""
        return tuple(_read_value(text, key.field) for text, key in zip(texts, self.keys, strict=True))


class FoundSample(NamedTuple):
    """A sample and its position: the values of ``SampleSearch.keys``, as text."""

    sample: SampleRow
    position: tuple[str | None, ...]


def search_samples(
    search: SampleSearch, *, scope: Scope, limit: int, after: tuple[Any, ...] | None = None
) -> list[FoundSample]:
    """The first matching samples, at most ``limit``, of those behind the position ``after``.

    By time they are found by index: newest or oldest first, in the series that the filter's own ``and`` names by meter and owner
    alone. In any other order everything that matches is read and sorted. What neither the series nor the window narrows is
    looked for among all samples, up to CELOMETER_QUERY_TIMEOUT_SECONDS: then TooExpensive is raised. Raises NoLongerKept,
    FilterError for a regular expression that is none.
    """
    expression = search.expression
    if expression is not None:
        check_floor(find_window(expression))
    keys = search.keys
    selection = _select(expression, scope)
    if keys in _BY_TIME:
        behind = None if after is None else SamplePosition(*after)
        statement = walk_samples(selection, order=_BY_TIME[keys], after=behind, limit=limit)
    else:
        statement = _sorted(selection, keys, after, limit)
    patterns = [] if expression is None else find_patterns(expression)
    return [_found(row) for row in fetch_matching(statement, patterns)]


def _select(expression: Expression | None, scope: Scope) -> Selection:
    found = Conditions() if expression is None else split_conditions(expression)
    series = owner_conditions(SampleFilter(), scope).then_all(found.series)
    return Selection(
        **found._replace(series=series)._asdict(),
        is_narrow=bool(series.sql),
        is_pinned=expression is not None and names_one(expression),
    )


def _sorted(selection: Selection, keys: Sequence[OrderKey], position: Sequence[Any] | None, limit: int) -> Statement:
    """Everything that matches, sorted: for orders that no index has."""
    columns = [COLUMNS[key.field].sql for key in keys]
    order = " ORDER BY " + ", ".join(
        f"{column} {'DESC' if key.descending else 'ASC'}" for column, key in zip(columns, keys, strict=True)
    )
    found = Statement(
        f"(SELECT s.* FROM{SERIES} JOIN metering_sample s ON s.meter_id = x.meter_id AND s.resource_id = x.resource_id"
        " JOIN metering_resourcestate st ON st.id = s.state_id WHERE true"
    ).then_all(selection.series, selection.window, selection.states, selection.samples)
    if position is not None:
        found = found.then(" AND ").then_all(_behind(keys, position))
    texts = ", ".join(f"({column})::text" for column in columns)
    return (
        Statement(f"{SAMPLE_COLUMNS}, ARRAY[{texts}] FROM ")
        .then_all(found.then(f"{order} LIMIT %s", limit))
        .then(f") s{DIMENSIONS}{order}")
    )


def _behind(keys: Sequence[OrderKey], position: Sequence[Any]) -> Statement:
    """The condition on what stands behind the position. NULLs stand where PostgreSQL puts them: behind all in ascending order."""
    key, value = keys[0], position[0]
    column, cast = COLUMNS[key.field].sql, _CASTS[FIELDS[key.field]]
    operand: tuple[Any, ...] = () if value is None else (value,)
    if value is None:
        further, same = (f"{column} IS NOT NULL" if key.descending else "false"), f"{column} IS NULL"
    else:
        further = f"{column} < %s::{cast}" if key.descending else f"({column} > %s::{cast} OR {column} IS NULL)"
        same = f"{column} = %s::{cast}"
    condition = Statement(f"({further}", operand)
    if len(keys) > 1:
        condition = condition.then(f" OR ({same} AND ", *operand).then_all(_behind(keys[1:], position[1:])).then(")")
    return condition.then(")")


def _read_value(text: str | None, field: str) -> Any:
    if text is None:
        if field in _NULLABLE:
            return None
        raise ValueError(f"{field} is always known")
    kind = FIELDS[field]
    if kind is Kind.TIME:
        return read_time(text)
    if kind is Kind.ID:
        return UUID(text)
    if kind is Kind.TEXT:
        return text
    number = parse_number(text)
    if number is None:
        raise ValueError(f"{shorten(text)} is no number")
    return number


def _found(row: tuple[Any, ...]) -> FoundSample:
    """A row of a walk ends with the metadata's text, one of a sorted list with the position."""
    if isinstance(row[-1], list):
        return FoundSample(sample_row(row[:-1]), tuple(row[-1]))
    sample = sample_row(row)
    return FoundSample(sample, (sample.timestamp.isoformat(), str(sample.id)))
