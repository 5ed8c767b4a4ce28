"""Alarms for tests, as the API stores them: rules with all their defaults filled in."""

from __future__ import annotations

from typing import Any

from alarms.models import Alarm

__all__ = ["make_alarm", "threshold_rule"]


def threshold_rule(**changes: Any) -> dict[str, Any]:
    """cpu_util above 80 in one period of a minute, of any resource; see the changes."""
    rule = {
        "meter_name": "cpu_util",
        "threshold": 80,
        "comparison_operator": "gt",
        "statistic": "avg",
        "period": 60,
        "evaluation_periods": 1,
        "query": [],
        "exclude_outliers": False,
    }
    resource = changes.pop("resource", None)
    if resource is not None:
        rule["query"] = [{"field": "resource_id", "op": "eq", "value": resource}]
    return rule | changes


def make_alarm(rule: dict[str, Any] | None = None, **fields: Any) -> Alarm:
    """An alarm of project p1 that calls one URL for each state; ``rule``: a threshold rule unless given."""
    states = ("ok", "alarm", "insufficient data")
    values = {
        "name": "high",
        "type": "threshold",
        "rule": threshold_rule() if rule is None else rule,
        "project_id": "p1",
        "user_id": "member",
        "actions": {state: [f"https://receiver.example/{state.partition(' ')[0]}"] for state in states},
    }
    return Alarm.objects.create(**values | fields)
