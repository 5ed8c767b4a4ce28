"""Answers by brute force: every sample looked at on its own, in plain Python and Decimal."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from metering.rollups.arithmetic import Reading, hold, increase

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OWNERS = {"project_id": "project", "resource_id": "resource", "user_id": "user", "source": "source"}


class Stored(NamedTuple):
    """A sample as the store has it."""

    reading: Reading
    meter: str
    unit: str
    resource: str
    source: str
    project: str | None
    user: str | None
    metadata: dict[str, Any]


class Question(NamedTuple):
    """What is asked, in the plainest words: ``[low, high)`` in µs, ``bucket`` names the span of time that a moment (µs) lies in."""

    meter: str
    low: int | None
    high: int | None
    bucket: Any
    groups: tuple[str, ...]
    matches: Any


def answer(question: Question, stored: list[Stored]) -> dict[tuple[Any, ...], dict[str, Any]]:
    """Rows by (unit, bucket start in µs or None, group values…)."""
    chains = defaultdict(list)
    for sample in stored:
        if sample.meter == question.meter:
            chains[sample.meter, sample.unit, sample.source, sample.resource].append(sample)
    rows: dict[tuple[Any, ...], dict[str, Any]] = defaultdict(lambda: {"members": [], "increase": 0, "integral": 0})
    for chain in chains.values():
        chain.sort(key=lambda sample: sample.reading)
        for place, sample in enumerate(chain):
            if question.matches(sample):
                earlier = chain[place - 1].reading if place else None
                later = chain[place + 1].reading if place + 1 < len(chain) else None
                _add(rows, question, sample, earlier, later)
    return rows


def _add(rows, question, sample, earlier, later) -> None:
    group = tuple(value_of(sample, name) for name in question.groups)
    low, high = question.low, question.high
    at = sample.reading.at
    if (low is None or at >= low) and (high is None or at < high):
        row = rows[sample.unit, question.bucket(at)[0], *group]
        row["members"].append(sample)
        row["increase"] += increase(earlier.volume if earlier else None, sample.reading.volume)
    moment = at if low is None else max(at, low)
    until = None if later is None else later.at
    end = min(end for end in (at + 3_600_000_000, until, high) if end is not None)
    while moment < end:
        start, stop = question.bucket(moment)
        stop = end if stop is None else min(stop, end)
        row = rows[sample.unit, start, *group]
        row["integral"] += hold(sample.reading, until=until, start=moment, end=stop)
        moment = stop


def value_of(sample: Stored, name: str) -> str | None:
    """What a sample is grouped by: text as it stands, other values as JSON writes them."""
    if name in OWNERS:
        return getattr(sample, OWNERS[name])
    found = json_of(sample, name.removeprefix("resource_metadata."))
    value = None if found is None else json.loads(found)
    return value if isinstance(value, str) else found


def json_of(sample: Stored, key: str) -> str | None:
    """The metadata of a key as JSON, wherever its dots make levels and wherever they are part of a name."""
    value: Any = sample.metadata
    for level in key.split("."):
        value = value.get(level) if isinstance(value, dict) else None
    value = sample.metadata.get(key) if value is None else value
    return None if value is None else json.dumps(value)


def stride(seconds: int, anchor: int):
    length = seconds * 1_000_000

    def bucket(moment: int):
        start = anchor + (moment - anchor) // length * length
        return start, start + length

    return bucket


def calendar(unit: str, zone: str):
    """By walking minute by minute until the local date changes: slow, and without any cleverness."""
    known: dict[int, tuple[int, int]] = {}
    local = ZoneInfo(zone)

    def name_of(minute: int):
        day = (EPOCH + timedelta(minutes=minute)).astimezone(local).date()
        return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[unit]

    def edge(minute: int, step: int) -> int:
        name, stride_minutes = name_of(minute), 1440
        while stride_minutes:
            while name_of(minute + step * stride_minutes) == name:
                minute += step * stride_minutes
            stride_minutes //= 2
        return minute

    def bucket(moment: int):
        minute = moment // 60_000_000
        if minute not in known:
            known[minute] = (edge(minute, -1) * 60_000_000, (edge(minute, 1) + 1) * 60_000_000)
        return known[minute]

    return bucket


def whole(moment: int):
    return None, None


def check(row: dict[str, Any], values: dict[str, Any]) -> None:
    """Compare the functions that a row has. Sums, steps and held values to the last digit."""
    members = sorted(row["members"], key=lambda sample: sample.reading)
    for name, value in values.items():
        function, _, parameter = name.partition("/")
        if function == "integral":
            assert (value or 0) == row["integral"]
        elif not members:
            assert value == (0 if function in ("count", "cardinality") else None)
        elif function == "increase":
            assert value == row["increase"]
        elif function != "rate":
            _check_own(function, parameter, members, value)


def _check_own(function: str, parameter: str, members: list[Stored], value: Any) -> None:
    """Compare a function of at least one sample, in order."""
    volumes = [sample.reading.volume for sample in members]
    count = len(volumes)
    if function == "avg":
        assert abs(value * count - sum(volumes)) < count * Decimal("1e-20")
    elif function == "stddev":
        variance = (count * sum(v * v for v in volumes) - sum(volumes) ** 2) / Decimal(count * count)
        assert abs(value**2 - variance) <= Decimal("1e-14") * max(variance, Decimal("1e-30"))
    elif function == "cardinality":
        assert value == len({value_of(sample, parameter) for sample in members} - {None})
    elif function == "percentile":
        # The smallest volume that at least so many in a hundred do not exceed.
        place = -(-count * Fraction(parameter) // 100)
        assert value == sorted(volumes)[max(int(place), 1) - 1]
    else:
        expected = {
            "count": count,
            "sum": sum(volumes),
            "min": min(volumes),
            "max": max(volumes),
            "first": volumes[0],
            "last": volumes[-1],
        }
        assert value == expected[function]
