"""``threshold``: a statistic of a meter's last periods against a number (spec §3.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .contract import BadRule, Rule, RuleType
from .fields import COMPARISONS, MAX_PERIODS, MAX_SECONDS, Fields
from .query import parse_sample_query

__all__ = ["RULE_TYPE", "STATISTICS", "parse_statistic"]

# Those of Ceilometer, then ours.
STATISTICS = ("max", "min", "avg", "sum", "count", "increase", "rate", "median")
_PERCENTILE = re.compile(r"p(\d{1,2}(\.\d{1,3})?|100)\Z", re.ASCII)
_FIELDS = (
    *("meter_name", "threshold", "comparison_operator", "statistic", "period", "evaluation_periods", "query"),
    *("exclude_outliers", "recovery_threshold", "pending_seconds"),
)


def parse(body: Any, path: str = "data.threshold_rule") -> Rule:
    """The rule with its defaults; ``recovery_threshold`` and ``pending_seconds`` only where they were given."""
    fields = Fields.of(body, path=path, known=_FIELDS)
    return {
        "meter_name": fields.text("meter_name"),
        "threshold": fields.number("threshold"),
        "comparison_operator": fields.choice("comparison_operator", COMPARISONS, "eq"),
        "statistic": parse_statistic(fields),
        "period": fields.integer("period", 60, least=1, most=MAX_SECONDS),
        "evaluation_periods": fields.integer("evaluation_periods", 1, least=1, most=MAX_PERIODS),
        "query": parse_sample_query(fields),
        "exclude_outliers": fields.boolean("exclude_outliers", default=False),
        **_beyond_ceilometer(fields),
    }


def parse_statistic(fields: Fields) -> str:
    """One of STATISTICS, or a percentile such as ``p95``. Raises BadRule."""
    statistic = fields.text("statistic", "avg")
    if statistic not in STATISTICS and not _PERCENTILE.match(statistic):
        raise BadRule.of_field(
            "statistic", statistic, f"Value should be one of: {', '.join(STATISTICS)}, or a percentile such as p95"
        )
    return statistic


def _beyond_ceilometer(fields: Fields) -> Rule:
    """Off, and not shown, unless they are given: old clients see what they know."""
    found: Rule = {}
    if fields.has("recovery_threshold"):
        operator = fields.choice("comparison_operator", COMPARISONS, "eq")
        recovery, threshold = fields.number("recovery_threshold"), fields.number("threshold")
        if operator in {"eq", "ne"}:
            raise BadRule.of_field(
                "recovery_threshold", recovery, f"expected none with {operator}: it has no direction"
            )
        if recovery > threshold if operator in {"gt", "ge"} else recovery < threshold:
            side = "at most" if operator in {"gt", "ge"} else "at least"
            raise BadRule.of_field("recovery_threshold", recovery, f"expected {side} the threshold, {threshold}")
        found["recovery_threshold"] = recovery
    if fields.has("pending_seconds"):
        pending = fields.integer("pending_seconds", least=0, most=MAX_SECONDS)
        if pending:
            found["pending_seconds"] = pending
    return found


def describe(rule: Mapping[str, Any]) -> str:
    return (
        f"Alarm when {rule['meter_name']} is {rule['comparison_operator']} a {rule['statistic']} of {rule['threshold']} "
        f"over {rule['period']} seconds"
    )


RULE_TYPE = RuleType("threshold", parse, describe, may_be_leaf=True, asks_samples=True)
