"""What questions cost over HTTP, beside the same answers from the samples by plain SQL.

Each question is asked once before it is timed, and its answer compared with the samples', to the last digit: a wrong answer has no
speed, it raises.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from django.db import connection

from benchmarks.api_server import serve
from benchmarks.figures import Figure
from benchmarks.gates import expect
from benchmarks.history import DENSE, SPARSE, History

__all__ = ["measure_queries", "month_by_day"]

_BASELINE = "the same by plain SQL over samples"
_ROUNDS, _WARM, _TIMED = 7, 1, 3
_HOLD = "interval '1 hour'"

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Question:
    """A request and the statement over samples that answers it: ``read`` makes the statement's rows of the request's answer."""

    name: str
    target: str
    sql: str
    parameters: dict[str, Any]
    read: Callable[[list[dict[str, Any]]], list[Row]]


def measure_queries(history: History) -> list[Figure]:
    """Milliseconds of each question, the median of warm ones, about a history of at least two days."""
    questions = [*_statistics(history), *_lists()]
    densities = [(name, ask(history, DENSE), ask(history, SPARSE)) for name, ask in _DENSITIES.items()]
    with serve() as server:
        fetch = server.connect().get
        baselines = [_compare(question, fetch) for question in questions]
        for _, *pair in densities:
            for question in pair:
                _compare(question, fetch)
        times = _time([*questions, *(question for _, *pair in densities for question in pair)], fetch)
    figures = [
        Figure(question.name, times[question.target], "ms", baseline, _BASELINE)
        for question, baseline in zip(questions, baselines, strict=True)
    ]
    figures += [
        Figure(name, times[dense.target], "ms", times[sparse.target], "a meter with a tenth of the samples")
        for name, dense, sparse in densities
    ]
    return figures


def month_by_day(history: History) -> str:
    """The path of a month that is over, summed by day."""
    return _month_over(history, DENSE).target


def _compare(question: Question, fetch: Callable[[str], bytes]) -> float:
    """How long the statement took, in ms. Raises WrongAnswer when the answer differs from its rows."""
    with connection.cursor() as cursor:
        cursor.execute("SET jit = off")
        started = time.perf_counter()
        cursor.execute(question.sql, question.parameters)
        expected = cursor.fetchall()
        elapsed = time.perf_counter() - started
    answer = json.loads(fetch(question.target), parse_float=Decimal, parse_int=Decimal)
    found, plain = set(question.read(answer)), {_plain(row) for row in expected}
    expect(
        f"{question.name}: rows of {question.target} that the samples give, too", len(found & plain), len(found | plain)
    )
    expect(f"{question.name}: whether there is anything to time", bool(answer), True)
    return elapsed * 1000


def _time(questions: Sequence[Question], fetch: Callable[[str], bytes]) -> dict[str, float]:
    """The median of each target in ms. In rounds: what else the machine does meets all of them."""
    times: dict[str, list[float]] = {question.target: [] for question in questions}
    for _ in range(_ROUNDS):
        for target, found in times.items():
            for number in range(_WARM + _TIMED):
                started = time.perf_counter()
                fetch(target)
                if number >= _WARM:
                    found.append((time.perf_counter() - started) * 1000)
    return {target: statistics.median(found) for target, found in times.items()}


def _plain(row: Sequence[Any]) -> Row:
    return tuple(_plain_value(value) for value in row)


def _plain_value(value: Any) -> Any:
    """As answers have it: times without a zone, numbers without their trailing zeros."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat()
    return value.normalize() if isinstance(value, Decimal) else value


# --- Statistics ---------------------------------------------------------------------------------------------------


def _statistics(history: History) -> list[Question]:
    low, high = _month(history)
    day = {"period": "day", "aggregate.func": "sum"}
    by_day = {"bucket": "date_trunc('day', s.timestamp, 'UTC')"}
    recent = history.end_at - timedelta(minutes=10)
    with connection.cursor() as cursor:
        cursor.execute("SELECT resource_id FROM metering_resource ORDER BY id DESC LIMIT 1")
        ((resource,),) = cursor.fetchall()
    gain = {"groupby": "project_id", "aggregate.func": "increase"}
    held = {"groupby": "project_id", "aggregate.func": "integral", "aggregate.param": "second"}
    return [
        _month_to_date(history, DENSE),
        _sums(
            "month to date, sum by day and project",
            (low, None),
            day | {"groupby": "project_id"},
            group="r.project_id",
            **by_day,
        ),
        _sums(
            "one resource's month by hour",
            (low, None),
            {"period": "3600", "aggregate.func": "sum"},
            bucket="date_trunc('hour', s.timestamp, 'UTC')",
            resource=resource,
        ),
        _steps("a month's increase by project", (low, high), gain, sql=_INCREASE),
        _steps("a month's integral by project", (low, high), held, sql=_INTEGRAL),
        _sums("last 10 minutes of all resources", (recent, None), {"aggregate.func": "sum"}, bucket="NULL"),
        _sums(
            "month by day in Berlin",
            (low, None),
            day | {"tz": "Europe/Berlin"},
            bucket="date_trunc('day', s.timestamp, 'Europe/Berlin')",
        ),
    ]


def _month(history: History) -> tuple[datetime, datetime]:
    """From the first midnight that is loaded to the last one."""
    low = history.start_at.replace(hour=0, minute=0) + timedelta(days=1)
    return low, history.end_at.replace(hour=0, minute=0)


def _month_to_date(history: History, meter: str) -> Question:
    arguments = {"period": "day", "aggregate.func": "sum"}
    bucket = "date_trunc('day', s.timestamp, 'UTC')"
    return _sums("month to date, sum by day", (_month(history)[0], None), arguments, bucket=bucket, meter=meter)


def _month_over(history: History, meter: str) -> Question:
    arguments = {"period": "day", "aggregate.func": "sum"}
    bucket = "date_trunc('day', s.timestamp, 'UTC')"
    return _sums("month over, sum by day", _month(history), arguments, bucket=bucket, meter=meter)


_DENSITIES = {
    "sum by day of a month that is over, ten times the samples": _month_over,
    "sum by day of the month to date, ten times the samples": _month_to_date,
}

_SUMS = """
SELECT {bucket}, {group}, sum(s.volume) FROM metering_sample s
JOIN metering_meter m ON m.id = s.meter_id JOIN metering_resource r ON r.id = s.resource_id
WHERE m.name = %(meter)s AND s.timestamp >= %(low)s AND s.timestamp < %(high)s AND r.resource_id = coalesce(%(resource)s, r.resource_id)
GROUP BY 1, 2
"""
# A step leads from one sample of a thing to its next one, and belongs to the later.
_INCREASE = """
SELECT NULL, project_id, sum(CASE WHEN previous IS NULL THEN 0 WHEN volume < previous THEN volume ELSE volume - previous END) FROM (
    SELECT r.project_id, s.timestamp, s.volume, lag(s.volume) OVER (PARTITION BY r.chain_id ORDER BY s.timestamp, s.id) AS previous
    FROM metering_sample s JOIN metering_meter m ON m.id = s.meter_id JOIN metering_resource r ON r.id = s.resource_id
    WHERE m.name = %(meter)s AND s.timestamp < %(high)s
) step WHERE timestamp >= %(low)s GROUP BY 2
"""
# A value holds until the next sample, no longer than an hour, and within the window.
_INTEGRAL = f"""
SELECT NULL, project_id, sum(volume * extract(epoch FROM least(next_at, timestamp + {_HOLD}, %(high)s) - greatest(timestamp, %(low)s)))
FROM (
    SELECT r.project_id, s.timestamp, s.volume, lead(s.timestamp) OVER (PARTITION BY r.chain_id ORDER BY s.timestamp, s.id) AS next_at
    FROM metering_sample s JOIN metering_meter m ON m.id = s.meter_id JOIN metering_resource r ON r.id = s.resource_id
    WHERE m.name = %(meter)s AND s.timestamp < %(high)s
) step WHERE least(next_at, timestamp + {_HOLD}, %(high)s) > %(low)s GROUP BY 2
"""


def _sums(
    name: str,
    window: tuple[datetime, datetime | None],
    arguments: dict[str, str],
    *,
    bucket: str,
    group: str = "NULL",
    meter: str = DENSE,
    resource: str | None = None,
) -> Question:
    sql = _SUMS.format(bucket=bucket, group=group)
    return _question(name, window, arguments, sql=sql, meter=meter, resource=resource)


def _steps(name: str, window: tuple[datetime, datetime], arguments: dict[str, str], *, sql: str) -> Question:
    return _question(name, window, arguments, sql=sql, meter=DENSE, resource=None)


def _question(
    name: str,
    window: tuple[datetime, datetime | None],
    arguments: dict[str, str],
    *,
    sql: str,
    meter: str,
    resource: str | None,
) -> Question:
    low, high = window
    conditions = [("timestamp", "ge", _plain_value(low))]
    conditions += [("timestamp", "lt", _plain_value(high))] if high else []
    conditions += [("resource_id", "eq", resource)] if resource else []
    query = [part for field, op, value in conditions for part in (("q.field", field), ("q.op", op), ("q.value", value))]
    target = f"/v2/meters/{meter}/statistics?{urlencode([*query, *arguments.items()])}"
    parameters = {"meter": meter, "low": low, "high": high or datetime.max, "resource": resource}
    has_period = "period" in arguments

    def read(rows: list[dict[str, Any]]) -> list[Row]:
        return [
            (
                row["period_start"] if has_period else None,
                (row["groupby"] or {}).get("project_id"),
                *(value.normalize() for value in row["aggregate"].values()),
            )
            for row in rows
        ]

    return Question(name, target, sql, parameters, read)


# --- Lists --------------------------------------------------------------------------------------------------------

_METERS = """
SELECT m.name, r.resource_id, r.project_id FROM (SELECT DISTINCT meter_id, resource_id FROM metering_sample) pair
JOIN metering_series x USING (meter_id, resource_id)
JOIN metering_meter m ON m.id = meter_id JOIN metering_resource r ON r.id = pair.resource_id ORDER BY x.id LIMIT 100
"""
_RESOURCES = """
SELECT r.resource_id, min(s.timestamp), max(s.timestamp), string_agg(DISTINCT m.name, ' ' ORDER BY m.name)
FROM metering_sample s JOIN metering_meter m ON m.id = s.meter_id JOIN metering_resource r ON r.id = s.resource_id
GROUP BY 1 ORDER BY 1 LIMIT 100
"""


def _lists() -> list[Question]:
    return [
        Question(
            "first page of meters",
            "/v2/meters",
            _METERS,
            {},
            lambda rows: [(row["name"], row["resource_id"], row["project_id"]) for row in rows],
        ),
        Question(
            "first page of resources",
            "/v2/resources",
            _RESOURCES,
            {},
            lambda rows: [
                (
                    row["resource_id"],
                    row["first_sample_timestamp"],
                    row["last_sample_timestamp"],
                    " ".join(link["rel"] for link in row["links"] if link["rel"] != "self"),
                )
                for row in rows
            ],
        ),
    ]
