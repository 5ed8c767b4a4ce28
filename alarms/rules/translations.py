"""Rules of Gnocchi's types in our words (spec 3.5): a metric is a meter, granularity a period, the mean an average.

What our statistics have no word for raises NotEvaluable: such an alarm has insufficient data, and says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["GNOCCHI_TYPES", "NotEvaluable", "translate"]

GNOCCHI_TYPES = (
    "gnocchi_resources_threshold",
    "gnocchi_aggregation_by_metrics_threshold",
    "gnocchi_aggregation_by_resources_threshold",
)
# Its rates are the steps from bucket to bucket, not by second: what our increase is.
_RATES = tuple(f"rate:{name}" for name in ("mean", "min", "max", "median", "first", "last"))
_METHODS = {
    **{name: name for name in ("min", "max", "sum", "count", "median", "first", "last")},
    **dict.fromkeys(_RATES, "increase"),
    "mean": "avg",
    "std": "stddev",
}
_PERCENTILE = re.compile(r"(\d{1,2})pct\Z", re.ASCII)
_EQUALS, _BOTH = ("=", "==", "eq"), ("and", "∧")
# Where the attributes of Gnocchi's resources stand with us; others are metadata of their own name.
_ATTRIBUTES = {
    **dict.fromkeys(("id", "original_resource_id", "resource_id"), "resource_id"),
    "project_id": "project_id",
    "user_id": "user_id",
    "server_group": "metadata.user_metadata.server_group",
}


class NotEvaluable(Exception):
    """A rule that can be stored and not be decided about; the text says what in it."""


def translate(type_name: str, rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """The rule as a threshold rule. ``meter_names``: a series for each; ``across``: a series for each resource; both are made one.

    Rules of other types stay as they are. Raises NotEvaluable.
    """
    if type_name not in GNOCCHI_TYPES:
        return rule
    plain = {**rule, "statistic": _statistic(rule["aggregation_method"]), "period": rule["granularity"], "query": []}
    if type_name == "gnocchi_aggregation_by_metrics_threshold":
        return {**plain, "meter_names": list(rule["metrics"])}
    if type_name == "gnocchi_resources_threshold":
        query = [{"field": "resource_id", "op": "eq", "value": rule["resource_id"]}]
        return {**plain, "meter_name": rule["metric"], "query": query}
    return {
        **plain,
        "meter_name": rule["metric"],
        "query": list(_conditions(json.loads(rule["query"]))),
        "across": True,
    }


def _statistic(method: str) -> str:
    if method in _METHODS:
        return _METHODS[method]
    if match := _PERCENTILE.match(method):
        return f"p{match[1]}"
    raise NotEvaluable(f"the aggregation method {method} is not evaluated here")


def _conditions(tree: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    ((word, operand),) = tree.items()
    if word in _BOTH:
        for part in operand:
            yield from _conditions(part)
    elif word in _EQUALS:
        ((attribute, value),) = operand.items()
        field = _ATTRIBUTES.get(attribute, f"metadata.{attribute}")
        yield {"field": field, "op": "eq", "value": value if isinstance(value, str) else json.dumps(value)}
    else:
        raise NotEvaluable(f"filters with {word} are not evaluated here: expected and, =")
