"""Types about services that are not ours (spec §3.6, §3.7): taken and shown, evaluated by plugins alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .contract import Rule, RuleType
from .fields import COMPARISONS, Fields

__all__ = ["LOADBALANCER", "PROMETHEUS"]

_MOST_CHARACTERS = 65_536
_LOADBALANCER_FIELDS = ("pool_id", "stack_id", "autoscaling_group_id")


def parse_prometheus(body: Any, path: str = "data.prometheus_rule") -> Rule:
    fields = Fields.of(body, path=path, known=("query", "threshold", "comparison_operator"))
    return {
        "comparison_operator": fields.choice("comparison_operator", COMPARISONS, "eq"),
        "threshold": fields.number("threshold"),
        "query": fields.text("query", most=_MOST_CHARACTERS),
    }


def parse_loadbalancer(body: Any, path: str = "data.loadbalancer_member_health_rule") -> Rule:
    fields = Fields.of(body, path=path, known=_LOADBALANCER_FIELDS)
    return {name: fields.text(name) for name in _LOADBALANCER_FIELDS}


def describe_prometheus(rule: Mapping[str, Any]) -> str:
    return "prometheus alarm rule"


def describe_loadbalancer(rule: Mapping[str, Any]) -> str:
    return "loadbalancer_member_health alarm rule"


PROMETHEUS = RuleType("prometheus", parse_prometheus, describe_prometheus, may_be_leaf=True)
LOADBALANCER = RuleType("loadbalancer_member_health", parse_loadbalancer, describe_loadbalancer)
