"""``anomaly``: a statistic against the same hours of past weeks. Ours: Ceilometer has none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .contract import BadRule, Rule, RuleType
from .fields import MAX_SECONDS, Fields
from .query import parse_sample_query
from .threshold import parse_statistic

__all__ = ["RULE_TYPE"]

_FIELDS = ("meter_name", "statistic", "period", "query", "weeks", "deviations")
_MOST_WEEKS = 52


def parse(body: Any, path: str = "data.anomaly_rule") -> Rule:
    """The rule with its defaults: alarm when the statistic lies more than so many deviations from its mean of past weeks."""
    fields = Fields.of(body, path=path, known=_FIELDS)
    deviations = fields.number("deviations") if fields.has("deviations") else 3.0
    if deviations <= 0:
        raise BadRule.of_field("deviations", deviations, "expected a number above 0")
    return {
        "meter_name": fields.text("meter_name"),
        "statistic": parse_statistic(fields),
        "period": fields.integer("period", 3600, least=1, most=MAX_SECONDS),
        "query": parse_sample_query(fields),
        "weeks": fields.integer("weeks", 4, least=2, most=_MOST_WEEKS),
        "deviations": deviations,
    }


def describe(rule: Mapping[str, Any]) -> str:
    return (
        f"Alarm when a {rule['statistic']} of {rule['meter_name']} over {rule['period']} seconds is {rule['deviations']} deviations "
        f"away from that of the past {rule['weeks']} weeks"
    )


RULE_TYPE = RuleType("anomaly", parse, describe, may_be_leaf=True, asks_samples=True)
