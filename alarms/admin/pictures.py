"""What an alarm's page draws: the series that its rule looks at, its thresholds, and the states that it was in meanwhile."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from django.conf import settings

from alarms.evaluation.claims import next_due_at
from alarms.evaluation.reading import Question, ReadFailed, Series, read_all
from alarms.evaluation.scopes import scope_of
from alarms.models import Alarm, AlarmChange
from alarms.rules.alarm_types import find_type
from alarms.rules.anomalies import WEEK
from alarms.rules.decision import ALARM, STATES
from alarms.rules.outcomes import decimal_of
from alarms.rules.series import SERIES_TYPES, Reading, join_series
from alarms.rules.translations import NotEvaluable, translate
from alarms.rules.trees import leaves_of
from alarms.rules.windows import Bucket
from metering.queries.errors import shorten
from metering.queries.floors import find_floor

from .charts import Band, Chart, Level, Mark, Point

__all__ = ["Picture", "read_pictures"]

logger = logging.getLogger(__name__)

_FEWEST_PERIODS, _MOST_CHANGES = 60, 500
# Of alarms that look at no series.
_SPAN = timedelta(days=7)
_SIGNS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤", "eq": "=", "ne": "≠"}


class Picture(NamedTuple):
    """A chart and what it shows, in words. ``trouble``: why there is nothing to see of the series."""

    title: str
    chart: Chart
    trouble: str = ""


def read_pictures(alarm: Alarm, now: datetime) -> Iterator[Picture]:
    """One for each series that the rule looks at, up to the last evaluation before ``now``; else one of the states alone.

    Whatever cannot be read is said in its picture. The series take as long as a question may, all together.
    """
    try:
        leaves = _leaves(alarm)
    except Exception as error:
        logger.warning("the rule of alarm %s cannot be drawn: %r", alarm.id, error)
        leaves = []
    if not leaves:
        yield _states_alone(alarm, now)
        return
    deadline = time.monotonic() + settings.CELOMETER_QUERY_TIMEOUT_SECONDS
    # The moment at which evaluators looked last, and up to which they did.
    end_at = next_due_at(now) - timedelta(seconds=settings.CELOMETER_EVALUATION_INTERVAL) - settings.CELOMETER_ALARM_LAG
    for title, type_name, rule in leaves:
        yield _picture(_Subject(alarm, title, type_name, rule), end_at, now, seconds=deadline - time.monotonic())


class _Subject(NamedTuple):
    """One comparison of an alarm's."""

    alarm: Alarm
    title: str
    type_name: str
    rule: Mapping[str, Any]


def _leaves(alarm: Alarm) -> list[tuple[str, str, Mapping[str, Any]]]:
    """Title, type and rule of each comparison of series."""
    if alarm.type == "composite":
        return [
            (f"rule{number}: {_title(leaf['type'], leaf)}", leaf["type"], leaf)
            for number, leaf in enumerate(leaves_of(alarm.rule), 1)
        ]
    if find_type(alarm.type):
        return [(_title(alarm.type, alarm.rule), alarm.type, alarm.rule)]
    return []


def _title(type_name: str, rule: Mapping[str, Any]) -> str:
    try:
        plain = translate(type_name, rule)
        meters = ", ".join(plain.get("meter_names") or [plain["meter_name"]])
        said = f"{plain['statistic']} of {meters} each {plain['period']} s"
    except (NotEvaluable, KeyError):
        return type_name
    conditions = " and ".join(
        f"{item['field']} {_SIGNS.get(item.get('op') or 'eq', item.get('op'))} {item['value']}"
        for item in plain.get("query", ())
    )
    return f"{said}, where {conditions}" if conditions else said


def _picture(subject: _Subject, end_at: datetime, now: datetime, *, seconds: float) -> Picture:
    alarm, title, type_name, rule = subject
    try:
        alarm_type = find_type(type_name)
        readings = [_longer(reading) for reading in alarm_type.readings(rule, end_at)] if alarm_type else []
        if not readings:
            return Picture(
                title, Chart(end_at - _SPAN, end_at), f"alarms of the type {type_name} are not evaluated here"
            )
        answers = read_all([Question(reading, scope_of(alarm)) for reading in readings], seconds=seconds)
        failed = next((answer for answer in answers if isinstance(answer, ReadFailed)), None)
        series = [answer for answer in answers if not isinstance(answer, ReadFailed)]
        window = readings[0].window
        chart = Chart(
            window.start_at,
            now,
            [] if failed else _points(type_name, rule, series, timedelta(seconds=window.period_seconds)),
            list(_thresholds(rule)),
            *_states(alarm, window.start_at, now),
        )
    except NotEvaluable as error:
        return Picture(title, Chart(end_at - _SPAN, end_at), str(error))
    except Exception as error:
        logger.warning("a series of alarm %s cannot be drawn: %r", alarm.id, error)
        return Picture(title, Chart(end_at - _SPAN, end_at), f"it cannot be drawn: {shorten(repr(error))}")
    trouble = f"the series cannot be read: {failed}" if failed else "" if chart.points else "no data in this time"
    return Picture(title, chart, trouble)


def _longer(reading: Reading) -> Reading:
    """More than what decides, to see where it comes from; as far back as samples are kept."""
    window = reading.window
    count = max(_FEWEST_PERIODS, 2 * window.bucket_count)
    floor = find_floor(reading.meter_name)
    if floor:
        kept = (window.end_at - floor[0]) // timedelta(seconds=window.period_seconds)
        count = max(window.bucket_count, min(count, kept))
    return reading._replace(window=window._replace(bucket_count=count))


def _points(type_name: str, rule: Mapping[str, Any], series: Sequence[Series], period: timedelta) -> list[Point]:
    if type_name == "anomaly":
        return list(_beside_past(series, period, decimal_of(rule["deviations"])))
    # What becomes of several series is the type's own matter, but for Gnocchi's: the first is shown.
    joins = len(series) > 1 and type_name in SERIES_TYPES
    buckets = join_series(translate(type_name, rule)["statistic"], series) if joins else series[0]
    return [_point(bucket, period) for bucket in buckets]


def _point(bucket: Bucket, period: timedelta) -> Point:
    return Point(bucket.start_at, bucket.start_at + period, bucket.value, bucket.sample_count)


def _beside_past(series: Sequence[Series], period: timedelta, deviations: Decimal) -> Iterator[Point]:
    """With what is usual: as far from the mean of past weeks as the rule lets a value lie."""
    past: dict[datetime, list[Decimal]] = defaultdict(list)
    for weeks, buckets in enumerate(series[1:], 1):
        for bucket in buckets:
            past[bucket.start_at + weeks * WEEK].append(bucket.value)
    for bucket in series[0]:
        point, values = _point(bucket, period), past[bucket.start_at]
        if len(values) > 1:
            mean = sum(values, Decimal(0)) / len(values)
            room = deviations * (sum(((value - mean) ** 2 for value in values), Decimal(0)) / len(values)).sqrt()
            point = point._replace(low=mean - room, high=mean + room)
        yield point


def _thresholds(rule: Mapping[str, Any]) -> Iterator[Level]:
    if rule.get("threshold") is not None:
        sign = _SIGNS.get(rule.get("comparison_operator") or "eq", "")
        yield Level(decimal_of(rule["threshold"]), f"alarm: {sign} {rule['threshold']}")
    if rule.get("recovery_threshold") is not None:
        yield Level(decimal_of(rule["recovery_threshold"]), f"recovery: {rule['recovery_threshold']}")


def _states_alone(alarm: Alarm, now: datetime) -> Picture:
    """Of alarms about events, or about other alarms: what happened to them."""
    chart = Chart(now - _SPAN, now, (), (), *_states(alarm, now - _SPAN, now))
    if alarm.type == "event":
        chart = chart._replace(marks=[mark for mark in chart.marks if mark.state == ALARM])
        nothing = "no event has set it off in the last 7 days"
    else:
        nothing = "no change of the state in the last 7 days"
    return Picture("States of the last 7 days", chart, "" if chart.marks else nothing)


def _states(alarm: Alarm, start_at: datetime, end_at: datetime) -> tuple[list[Band], list[Mark]]:
    """The states that the alarm was in, and its transitions, from its history."""
    changes = AlarmChange.objects.filter(alarm_id=alarm.id, detail__has_key="state")
    before = changes.filter(recorded_at__lt=start_at).first()
    within = list(changes.filter(recorded_at__gte=start_at, recorded_at__lte=end_at)[:_MOST_CHANGES])
    # Of too many the newest are drawn; what was before them is as good as unknown.
    at, state = start_at, "" if len(within) == _MOST_CHANGES else _state(before)
    bands, marks = [], []
    for change in reversed(within):
        bands.append(Band(at, change.recorded_at, state))
        at, state = change.recorded_at, _state(change)
        reason = change.detail.get("transition_reason") or change.detail.get("state_reason") or change.type
        marks.append(Mark(at, f"{state}: {reason}", state))
    bands.append(Band(at, end_at, state or (alarm.state if alarm.state_at <= start_at else "")))
    return [band for band in bands if band.end_at > band.start_at], marks


def _state(change: AlarmChange | None) -> str:
    """The state that it left the alarm in; empty for what says none."""
    state = change.detail.get("state") if change else None
    return state if state in STATES else ""
