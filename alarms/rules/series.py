"""Rules that compare a series of values: which statistics they have to be given, and what follows from them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from .anomalies import anomaly_windows, judge_anomaly
from .decision import Decision, State
from .outcomes import Outcome, compare, decide
from .outliers import drop_outliers
from .windows import Bucket, Window, window_of

__all__ = ["SERIES_TYPES", "Reading", "decide_series", "readings_of"]

_METHODS = {"mean": "avg", "std": "stddev", "rate:mean": "rate"}

# Those that may stand alone or be the leaf of a composite.
SERIES_TYPES = ("threshold", "anomaly", "gnocchi_resources_threshold")


class Reading(NamedTuple):
    """A series that a rule has to be given: the statistic of a meter's samples that match the query, for each bucket of the window."""

    meter_name: str
    statistic: str
    query: Sequence[Mapping[str, Any]]
    window: Window


def readings_of(type_name: str, rule: Mapping[str, Any], end_at: datetime) -> list[Reading]:
    """What the rule looks at for its decision at ``end_at``."""
    rule = _plain(type_name, rule)
    windows = anomaly_windows(rule, end_at) if type_name == "anomaly" else [window_of(rule, end_at)]
    return [Reading(rule["meter_name"], rule["statistic"], rule["query"], window) for window in windows]


def decide_series(
    type_name: str,
    rule: Mapping[str, Any],
    series: Sequence[Sequence[Bucket]],
    state: State,
    *,
    repeats: bool,
    now: datetime,
    memory: Mapping[str, Any],
) -> Decision:
    """What follows from the series, in the order of ``readings_of``, each oldest first. ``memory`` is what the last decision left."""
    rule = _plain(type_name, rule)
    return decide(
        _outcome(type_name, rule, series, state),
        state,
        repeats=repeats,
        now=now,
        memory=memory,
        pending_seconds=rule.get("pending_seconds") or 0,
        type_name="anomaly" if type_name == "anomaly" else "threshold",
    )


def _outcome(type_name: str, rule: Mapping[str, Any], series: Sequence[Sequence[Bucket]], state: State) -> Outcome:
    if type_name == "anomaly":
        return judge_anomaly(rule, series)
    (buckets,) = series
    kept = drop_outliers(buckets) if rule.get("exclude_outliers") else buckets
    return compare([bucket.value for bucket in kept], rule, state)


def _plain(type_name: str, rule: Mapping[str, Any]) -> Mapping[str, Any]:
    """A rule of one of Gnocchi's types in our words: granularity is the period, a metric a meter, the mean an average."""
    if type_name != "gnocchi_resources_threshold":
        return rule
    method = rule["aggregation_method"]
    return {
        **rule,
        "meter_name": rule["metric"],
        "statistic": _METHODS.get(method) or re.sub(r"\A(\d+)pct\Z", r"p\1", method),
        "period": rule["granularity"],
        "query": [{"field": "resource_id", "op": "eq", "value": rule["resource_id"]}],
    }
