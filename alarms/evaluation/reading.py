"""Series for many rules at once: what looks at the same meter, period and window in the same way is one statement.

The statement groups by what the rules tell apart (project, resource, user, source, metadata), and each rule picks its own. Everything else
of a rule's query is a condition of the statement; rules with other conditions are another group.
"""

from __future__ import annotations

import json
import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from alarms.rules.series import Reading, join_series
from alarms.rules.windows import Bucket, Window
from metering.queries.errors import NoLongerKept, QueryError, TooExpensive
from metering.queries.filters import MetadataMatch, SampleFilter, Scope, TimeBound, metadata_paths
from metering.queries.simple import METER_FIELDS, QueryItem, build_filter
from metering.queries.values import metadata_candidates
from metering.statistics import Aggregate, StatisticsRequest, compute

__all__ = ["NotRead", "Question", "ReadFailed", "Series", "TooSlow", "read_all"]

logger = logging.getLogger(__name__)

_FIELDS = METER_FIELDS | {"meter", "message_id"}
_METADATA_PREFIXES = ("metadata.", "resource_metadata.")
_OWNERS = {"resource": "resource_id", "project": "project_id", "user": "user_id", "source": "source"}
# One statement may answer for so many buckets of all its groups together.
_MOST_ROWS = 1_000_000
_STEPS = ("increase", "rate", "integral")
# Of all the time: what is too little for a statement, and what is so much that it would not have ended in all of it either.
_USELESS, _MOST_OF_IT = 0.05, 0.8


class ReadFailed(Exception):
    """The series could not be read; the text says why."""


class TooSlow(ReadFailed):
    """The store took too long about it, and would again."""


class NotRead(ReadFailed):
    """There was no time left for it."""


class Question(NamedTuple):
    """A series that somebody needs, and whose samples it may be made of."""

    reading: Reading
    scope: Scope


Series = list[Bucket]


@dataclass(frozen=True)
class _Shape:
    """What questions have in common that one statement can answer. ``most_buckets`` is at least what each needs."""

    meter_name: str
    end_at: datetime
    period_seconds: int
    most_buckets: int
    way: str
    fields: tuple[str, ...]
    wanted: SampleFilter
    sees_all: bool
    across: bool

    @property
    def groups(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.fields, "resource_id"))) if self.across else self.fields


_Key = tuple[str, ...]


class _Place(NamedTuple):
    """Where a question's answer will be found: at a key of a statement's groups."""

    shape: _Shape
    key: _Key


def read_all(questions: Sequence[Question], *, seconds: float) -> list[Series | ReadFailed]:
    """The answer to each, in their order: buckets with samples, oldest first. What fails, fails for the questions of one statement.

    Takes about so long at most: of the rest the answer is NotRead; of a statement that had nearly all of the time and did not end, TooSlow.
    """
    time_left = _TimeLeft(seconds)
    answers: list[Series | ReadFailed] = [[] for _ in questions]
    groups: dict[_Shape, list[tuple[int, _Key]]] = defaultdict(list)
    for number, question in enumerate(questions):
        try:
            place = _place(question)
        except QueryError as error:
            answers[number] = ReadFailed(str(error))
            continue
        if place:
            groups[place.shape].append((number, place.key))
    for shape, members in groups.items():
        for number, answer in _answers(shape, members, questions, time_left):
            answers[number] = answer
    return answers


class _TimeLeft:
    """For the statements of one call, one after the other."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_at = time.monotonic() + seconds

    def next_seconds(self) -> float:
        """How long the next one may take; 0 where there is no use in beginning it."""
        left = self._ends_at - time.monotonic()
        return left if left > self.seconds * _USELESS else 0

    def is_most(self, seconds: float) -> bool:
        return seconds > self.seconds * _MOST_OF_IT


def _answers(
    shape: _Shape, members: Sequence[tuple[int, _Key]], questions: Sequence[Question], time_left: _TimeLeft
) -> Iterator[tuple[int, Series | ReadFailed]]:
    """The number and the answer of each question of one statement."""
    readings = {number: questions[number].reading for number, _ in members}
    lengths = {reading.window.bucket_count for reading in readings.values()}
    allowed = time_left.next_seconds()
    if not allowed:
        yield from ((number, NotRead("there was no time left to read it")) for number, _ in members)
        return
    try:
        window = Window(shape.end_at, shape.period_seconds, max(lengths))
        found = _read(shape, window, {key for _, key in members}, {one.statistic for one in readings.values()}, allowed)
    except TooExpensive as error:
        logger.warning("%s series of %s were not read in %.1f s", len(members), shape.meter_name, allowed)
        kind = TooSlow if time_left.is_most(allowed) else NotRead
        yield from ((number, kind(str(error))) for number, _ in members)
        return
    except QueryError as error:
        if isinstance(error, NoLongerKept) and len(lengths) > 1:
            # Some windows begin where samples have gone; that is no reason for the shorter ones.
            for length in lengths:
                same = [member for member in members if readings[member[0]].window.bucket_count == length]
                yield from _answers(shape, same, questions, time_left)
            return
        logger.warning("%s series of %s could not be read: %s", len(members), shape.meter_name, error)
        for number, _ in members:
            yield number, ReadFailed(str(error))
        return
    for number, key in members:
        reading = readings[number]
        yield number, reading.window.within(found.get((key, reading.statistic), []))


def _place(question: Question) -> _Place | None:
    """None where nothing can match. Raises QueryError for a query that is none."""
    reading, scope = question
    wanted, keys = _split([_item(item) for item in reading.query])
    if scope.projects is not None:
        (project,) = scope.projects
        if keys.setdefault("project_id", project) != project or wanted.project is not None:
            return None
    if wanted.meter not in (None, reading.meter_name):
        return None
    window = reading.window
    fields = tuple(sorted(keys))
    shape = _Shape(
        reading.meter_name,
        window.end_at,
        window.period_seconds,
        _rounded(window.bucket_count),
        _way(reading.statistic),
        fields,
        replace(wanted, meter=reading.meter_name),
        scope.projects is None,
        reading.across,
    )
    return _Place(shape, tuple(keys[field] for field in fields))


def _item(item: Mapping[str, Any]) -> QueryItem:
    return QueryItem(item["field"], item.get("op") or "eq", str(item["value"]), item.get("type") or None)


def _split(items: Sequence[QueryItem]) -> tuple[SampleFilter, dict[str, str]]:
    """A query as conditions, and as values of fields that statements can group by, whose text is as good as the value itself."""
    owners = build_filter([item for item in items if not _metadata_key(item)], fields=_FIELDS)
    keys: dict[str, str] = {}
    for name, field in _OWNERS.items():
        value = getattr(owners, name)
        # "None" asks for nobody's, which is no value.
        if value is not None and value != "None":
            keys[field] = value
            owners = replace(owners, **{name: None})
    matches = []
    for key, item in {key: item for item in items if (key := _metadata_key(item))}.items():
        candidates = metadata_candidates(item.value, item.type)
        text = _plain_text(candidates)
        if text is None:
            matches.append(MetadataMatch(metadata_paths(key), candidates))
        else:
            keys[f"resource_metadata.{key}"] = text
    return replace(owners, metadata=tuple(matches)), keys


def _metadata_key(item: QueryItem) -> str:
    return next((item.name.removeprefix(prefix) for prefix in _METADATA_PREFIXES if item.name.startswith(prefix)), "")


def _plain_text(candidates: Sequence[str]) -> str | None:
    """The text that a stored value must be; None where a number, true, false, null, a list or an object could print the same."""
    if len(candidates) != 1 or not isinstance(text := json.loads(candidates[0]), str):
        return None
    try:
        json.loads(text)
    except ValueError:
        return text
    return None


def _rounded(count: int) -> int:
    """Up to a power of two, so that windows of nearly the same length are read together."""
    return 1 << (count - 1).bit_length()


def _way(statistic: str) -> str:
    """Statistics of one way are computed together; those of another would make the statement dearer for all."""
    function = _aggregate(statistic).function
    return function if function in (*_STEPS, "percentile") else ""


def _read(
    shape: _Shape, window: Window, keys: set[_Key], statistics: set[str], seconds: float
) -> dict[tuple[_Key, str], Series]:
    """The series of each key and statistic. Raises QueryError."""
    wanted = replace(
        shape.wanted, lower=TimeBound(window.start_at, inclusive=True), upper=TimeBound(window.end_at, inclusive=False)
    )
    projects = None if shape.sees_all else _values(shape, keys, "project_id")
    if "resource_id" in shape.fields:
        wanted = replace(wanted, resources=_values(shape, keys, "resource_id"))
    request = StatisticsRequest(
        wanted,
        Scope(projects),
        period_seconds=shape.period_seconds,
        groups=shape.groups,
        aggregates=tuple(dict.fromkeys(_aggregate(name) for name in sorted(statistics | {"count"}))),
    )
    found: dict[tuple[_Key, str], Series] = defaultdict(list)
    for row in compute(request, most=_MOST_ROWS, timeout_seconds=seconds):
        key = tuple(row.groups[field] for field in shape.fields)
        if key not in keys:
            continue
        for statistic in statistics:
            value = row.values[_aggregate(statistic).key]
            if value is not None:
                bucket = Bucket(row.period_start_at, Decimal(value), int(row.values["count"] or 0))
                found[key, statistic].append(bucket)  # type: ignore[index]
    if not shape.across:
        return found
    return {(key, statistic): join_series(statistic, [series]) for (key, statistic), series in found.items()}


def _values(shape: _Shape, keys: Iterable[_Key], field: str) -> tuple[str, ...]:
    place = shape.fields.index(field)
    return tuple(sorted({key[place] for key in keys}))


def _aggregate(statistic: str) -> Aggregate:
    """The statistic as a rule names it: p95 is a percentile."""
    if statistic == "median":
        return Aggregate("percentile", "50")
    if statistic[0] == "p":
        return Aggregate("percentile", statistic[1:])
    return Aggregate(statistic)
