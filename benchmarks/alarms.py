"""What a cycle of threshold alarms costs in bulk, beside evaluating the same alarms one by one.

The states that the cycle leaves are compared with what plain arithmetic makes of the samples: a wrong state has no speed.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import ceil
from typing import Any, NamedTuple

from django.conf import settings
from django.db import connection

from alarms.evaluation.cycle import evaluate_due
from alarms.models import Alarm, AlarmChange, Delivery, Schedule
from benchmarks.figures import Figure
from benchmarks.gates import expect
from benchmarks.history import DENSE, load_history

__all__ = ["measure_alarms"]

_ROUNDS = 3
# Statistic, period, evaluation periods: what the alarms of one resource are about.
_KINDS = (
    ("avg", 600, 3),
    ("avg", 600, 1),
    ("max", 600, 2),
    ("min", 600, 3),
    ("sum", 600, 2),
    ("count", 600, 3),
    ("avg", 3600, 2),
    ("max", 300, 5),
    ("increase", 600, 3),
    ("p95", 3600, 1),
)
_SAMPLES = """
SELECT r.resource_id, s.timestamp, s.volume FROM metering_sample s
JOIN metering_meter m ON m.id = s.meter_id JOIN metering_resource r ON r.id = s.resource_id
WHERE m.name = %s AND s.timestamp >= %s AND s.timestamp < %s ORDER BY s.timestamp, s.id
"""
_LONGEST = timedelta(hours=5)

Point = tuple[datetime, Decimal]


class _Thing(NamedTuple):
    resource_id: str
    project_id: str


def measure_alarms(*, resources: int, alone: int) -> list[Figure]:
    """Seconds of a cycle of ten alarms of each resource, and of ``alone`` of them one by one, scaled to all."""
    history = load_history(resources, 2)
    now = history.end_at + timedelta(seconds=37)
    end_at = now - settings.CELOMETER_ALARM_LAG
    points = _points(end_at)
    count = _make_alarms(_things(), points, end_at)
    bulk = min(_cycle(now, count) for _ in range(_ROUNDS))
    _check_states(points, end_at)
    one_by_one = _cycle_alone(now, alone) * count / alone
    name = f"a cycle of {count:,} threshold alarms over {resources:,} resources"
    return [Figure(name, bulk, "s", one_by_one, f"one by one ({alone:,} of them, scaled)")]


def _things() -> list[_Thing]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT resource_id, project_id FROM metering_resource ORDER BY id")
        return [_Thing(*row) for row in cursor.fetchall()]


def _points(end_at: datetime) -> Mapping[str, Sequence[Point]]:
    points: dict[str, list[Point]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_SAMPLES, [DENSE, end_at - _LONGEST, end_at])
        for resource_id, at, volume in cursor.fetchall():
            points[resource_id].append((at, volume))
    return points


def _make_alarms(things: Sequence[_Thing], points: Mapping[str, Sequence[Point]], end_at: datetime) -> int:
    """Ten of each resource; thresholds lie where values do, so that every state comes up."""
    alarms = [
        Alarm(
            name=f"{statistic} of {thing.resource_id}",
            type="threshold",
            rule=_rule(kind, thing, points[thing.resource_id], end_at, number),
            project_id=thing.project_id,
            user_id="bench",
            actions={"alarm": ["https://receiver.example/"]},
        )
        for number, thing in enumerate(things)
        for kind in _KINDS
        for statistic in kind[:1]
    ]
    Alarm.objects.bulk_create(alarms, batch_size=5000)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM (ANALYZE) alarms_alarm")
    return len(alarms)


def _rule(
    kind: tuple[str, int, int], thing: _Thing, points: Sequence[Point], end_at: datetime, number: int
) -> dict[str, Any]:
    statistic, period, needed = kind
    values = [float(value) for value in _values(points, statistic, period, needed, end_at)]
    threshold = sorted(values)[number % len(values)] if values else 0
    return {
        "meter_name": DENSE,
        "threshold": threshold,
        # Every seventh looks for what nobody has.
        "query": [{"field": "resource_id", "op": "eq", "value": thing.resource_id if number % 7 else "nothing"}],
        "comparison_operator": ("gt", "ge", "lt", "le")[number % 4],
        "statistic": statistic,
        "period": period,
        "evaluation_periods": needed,
        "exclude_outliers": False,
    }


def _cycle(now: datetime, count: int) -> float:
    """Seconds of one cycle of all alarms, each of which changes its state."""
    Schedule.objects.update(due_at=now)
    Alarm.objects.update(state="insufficient data")
    Delivery.objects.all().delete()
    AlarmChange.objects.all().delete()
    started = time.perf_counter()
    evaluated = evaluate_due(now, seconds=600)
    elapsed = time.perf_counter() - started
    expect("alarms evaluated in a cycle", evaluated.alarms, count)
    moved = Alarm.objects.exclude(state="insufficient data").count()
    expect("rows of history of a cycle", AlarmChange.objects.count(), moved)
    return elapsed


def _cycle_alone(now: datetime, count: int) -> float:
    """Seconds of so many alarms, evaluated as ever but each by itself."""
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE alarms_schedule SET due_at = CASE WHEN alarm_id IN (SELECT id FROM alarms_alarm ORDER BY id LIMIT %s)"
            " THEN %s ELSE %s END",
            [count, now, now + timedelta(days=1)],
        )
    started = time.perf_counter()
    evaluated = evaluate_due(now, seconds=600, batch=1)
    elapsed = time.perf_counter() - started
    expect("alarms evaluated one by one", evaluated.alarms, count)
    return elapsed


def _check_states(points: Mapping[str, Sequence[Point]], end_at: datetime) -> None:
    """Every alarm stands where its samples put one that knew nothing."""
    wrong, states = [], set()
    for alarm in Alarm.objects.all().iterator():
        rule = alarm.rule
        resource_id = rule["query"][0]["value"]
        values = _values(
            points.get(resource_id, ()), rule["statistic"], rule["period"], rule["evaluation_periods"], end_at
        )
        expected = _state(list(values)[-rule["evaluation_periods"] :], rule)
        states.add(alarm.state)
        if alarm.state != expected:
            wrong.append((alarm.name, alarm.state, expected))
    expect("alarms in a state that their samples do not give", wrong[:3], [])
    expect("states that came up", states, {"ok", "alarm", "insufficient data"})


def _values(points: Sequence[Point], statistic: str, period: int, needed: int, end_at: datetime) -> Iterator[Fraction]:
    length = timedelta(seconds=period)
    for number in range(needed + 1, 0, -1):
        low = end_at - number * length
        inside = [Fraction(volume) for at, volume in points if low <= at < low + length]
        if not inside:
            continue
        if statistic == "increase":
            before = [Fraction(volume) for at, volume in points if at < low][-1:]
            steps = zip([*before, *inside], [*before, *inside][1:], strict=False)
            yield sum((later if later < earlier else later - earlier for earlier, later in steps), Fraction(0))
        elif statistic == "p95":
            yield sorted(inside)[max(ceil(len(inside) * Fraction(95, 100)), 1) - 1]
        else:
            yield {
                "avg": lambda found: sum(found) / len(found),
                "max": max,
                "min": min,
                "sum": sum,
                "count": len,
            }[statistic](inside)


def _state(values: Sequence[Fraction], rule: Mapping[str, Any]) -> str:
    if len(values) < rule["evaluation_periods"]:
        return "insufficient data"
    bound = Fraction(Decimal(repr(rule["threshold"])))
    compares = {"gt": Fraction.__gt__, "ge": Fraction.__ge__, "lt": Fraction.__lt__, "le": Fraction.__le__}
    outside = [compares[rule["comparison_operator"]](Fraction(value), bound) for value in values]
    if all(outside):
        return "alarm"
    if not any(outside):
        return "ok"
    return "alarm" if outside[-1] else "ok"
