"""What a rule would have done in the past: by the code that decides about alarms, from the series that it would have been given.

Only which series are read together is another matter here. One alarm is evaluated at many moments; those that lie a whole number of periods
apart have buckets in common, and are one statement.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from math import gcd
from typing import Any, NamedTuple

from django.conf import settings

from alarms.rules.alarm_types import AlarmType, Situation, find_type
from alarms.rules.decision import INSUFFICIENT, State
from alarms.rules.matching import decide_event, matches
from alarms.rules.series import Reading
from alarms.rules.time_constraints import is_open
from alarms.rules.translations import NotEvaluable
from alarms.rules.windows import Bucket, Window
from metering.queries.errors import QueryError, TooExpensive
from metering.queries.filters import Scope

from .arrivals import read_events_between
from .reading import NotRead, Question, ReadFailed, TooSlow, read_all

__all__ = ["TooManyEvaluations", "Transition", "backtest", "interval_seconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# An evaluation is a decision about one series. Those of a month, each minute.
_MOST_EVALUATIONS = 50_000
# What would take more is looked at more seldom, but no period is passed over, and at least once a day.
_MOST_STATEMENTS = 60
_LONGEST_SECONDS = 86_400


class TooManyEvaluations(QueryError):
    """A range that is too long for the rule."""

    code = "too_many_evaluations"


class Transition(NamedTuple):
    """A change of the state, as the history would have it."""

    at: datetime
    previous: State
    current: State
    reason: str
    reason_data: dict[str, Any]


def backtest(
    rule: Mapping[str, Any],
    type_name: str,
    scope: Scope,
    start: datetime,
    end: datetime,
    *,
    time_constraints: Sequence[Mapping[str, Any]] = (),
) -> list[Transition]:
    """The transitions that an alarm with this rule would have had in ``[start, end)``, beginning with insufficient data.

    It is evaluated every ``interval_seconds``. Raises NotEvaluable for a rule that cannot be, QueryError for what cannot be read,
    TooManyEvaluations, and TooExpensive where it takes longer than a question may.
    """
    if type_name == "event":
        return _backtest_events(rule, scope, start, end)
    alarm_type = _series_type(type_name)
    readings = alarm_type.readings(rule, end)
    moments = _moments(start, end, _interval(readings), len(readings))
    state: State = INSUFFICIENT
    memory: Mapping[str, Any] = {}
    found = []
    for now, series in _series_at(alarm_type, rule, scope, moments):
        if not is_open(time_constraints, now):
            continue
        decision = alarm_type.decide(Situation(rule, state, memory, False, now), series)
        if decision.state != state:
            found.append(Transition(now, state, decision.state, decision.reason, decision.reason_data))
        state, memory = decision.state, decision.memory
    return found


def interval_seconds(rule: Mapping[str, Any], type_name: str, end: datetime) -> int | None:
    """How far apart the moments of its back-test lie; None for alarms that no clock evaluates. Raises as ``backtest`` does."""
    return None if type_name == "event" else _interval(_series_type(type_name).readings(rule, end))


def _series_type(type_name: str) -> AlarmType:
    alarm_type = find_type(type_name)
    if alarm_type is None:
        raise NotEvaluable(f"alarms of the type {type_name} cannot be tested on the past")
    return alarm_type


def _interval(readings: Sequence[Reading]) -> int:
    """That of cycles, or so many times as long that few enough statements read everything."""
    step: int = settings.CELOMETER_EVALUATION_INTERVAL
    periods = Counter(reading.window.period_seconds for reading in readings)
    most = max(_MOST_STATEMENTS, len(readings))
    for length in range(step, max(step, min([*periods, _LONGEST_SECONDS])) + 1, step):
        if sum(count * (period // gcd(period, length)) for period, count in periods.items()) <= most:
            return length
    raise QueryError(
        f"A back-test reads at most {most} series. Rules of such different periods have more: test them one by one."
    )


def _moments(start: datetime, end: datetime, interval: int, readings: int) -> list[datetime]:
    """When the alarm is evaluated: on the grid of cycles, or on every so many-th point of it."""
    length = timedelta(seconds=interval)
    first = _EPOCH - (_EPOCH - start) // length * length
    count = max(0, -((first - end) // length))
    evaluations = count * max(1, readings)
    if evaluations > _MOST_EVALUATIONS:
        raise TooManyEvaluations(
            f"The back-test has {evaluations} evaluations, expected at most {_MOST_EVALUATIONS}: one of each series every {interval} s. "
            "Take a shorter range.",
            value=evaluations,
        )
    return [first + number * length for number in range(count)]


def _series_at(
    alarm_type: AlarmType, rule: Mapping[str, Any], scope: Scope, moments: Sequence[datetime]
) -> Iterator[tuple[datetime, list[list[Bucket]]]]:
    """Each moment with the series that the rule is given at it."""
    readings = {now: alarm_type.readings(rule, now - settings.CELOMETER_ALARM_LAG) for now in moments}
    together: dict[tuple[int, timedelta], list[Reading]] = {}
    for found in readings.values():
        for place, reading in enumerate(found):
            together.setdefault((place, _phase(reading.window)), []).append(reading)
    deadline = time.monotonic() + settings.CELOMETER_QUERY_TIMEOUT_SECONDS
    series = {}
    for key, same in together.items():
        series[key] = _read(same, scope, seconds=deadline - time.monotonic())
    for now, found in readings.items():
        yield (
            now,
            [reading.window.within(series[place, _phase(reading.window)]) for place, reading in enumerate(found)],
        )


def _phase(window: Window) -> timedelta:
    return (window.end_at - _EPOCH) % timedelta(seconds=window.period_seconds)


def _read(same: Sequence[Reading], scope: Scope, *, seconds: float) -> list[Bucket]:
    """All buckets of readings whose windows lie a whole number of periods apart."""
    first, last = min(one.window.start_at for one in same), max(one.window.end_at for one in same)
    period = same[0].window.period_seconds
    window = Window(last, period, (last - first) // timedelta(seconds=period))
    (answer,) = read_all([Question(same[0]._replace(window=window), scope)], seconds=seconds)
    if isinstance(answer, TooSlow | NotRead):
        raise TooExpensive("The back-test took too long. Take a shorter range, or fewer resources.")
    if isinstance(answer, ReadFailed):
        raise QueryError(str(answer))
    return answer


def _backtest_events(rule: Mapping[str, Any], scope: Scope, start: datetime, end: datetime) -> list[Transition]:
    """The first hit: an event alarm never goes back by itself."""
    for event in read_events_between(start, end, scope):
        if matches(rule, event):
            decision = decide_event(rule, event, INSUFFICIENT, repeats=False)
            return [Transition(event.generated_at, INSUFFICIENT, decision.state, decision.reason, decision.reason_data)]
    return []
