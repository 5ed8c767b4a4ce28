"""Rules that compare a series of values: which statistics they have to be given, and what follows from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from .anomalies import anomaly_windows, judge_anomaly
from .decision import Decision, State
from .outcomes import Outcome, compare, decide, judge
from .outliers import drop_outliers
from .reductions import reduce_values
from .translations import GNOCCHI_TYPES, NotEvaluable, translate
from .windows import Bucket, Window, window_of

__all__ = ["SERIES_TYPES", "Reading", "decide_series", "join_series", "readings_of"]

# Those that may stand alone or be the leaf of a composite.
SERIES_TYPES = ("threshold", "anomaly", *GNOCCHI_TYPES)


class Reading(NamedTuple):
    """A series that a rule has to be given: the statistic of a meter's samples that match the query, for each bucket of the window.

    ``across``: the statistic of each resource by itself, and then of these.
    """

    meter_name: str
    statistic: str
    query: Sequence[Mapping[str, Any]]
    window: Window
    across: bool = False


def readings_of(type_name: str, rule: Mapping[str, Any], end_at: datetime) -> list[Reading]:
    """What the rule looks at for its decision at ``end_at``. Raises NotEvaluable."""
    if type_name not in SERIES_TYPES:
        raise NotEvaluable(f"rules of the type {type_name} are not evaluated here")
    rule = translate(type_name, rule)
    windows = anomaly_windows(rule, end_at) if type_name == "anomaly" else [window_of(rule, end_at)]
    return [
        Reading(name, rule["statistic"], rule["query"], window, rule.get("across", False))
        for name in rule.get("meter_names") or [rule["meter_name"]]
        for window in windows
    ]


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
    """What follows from the series, in the order of ``readings_of``, each oldest first. ``memory`` is what the last decision left.

    Where there are none, because they could not be read or the rule not be evaluated, there is no data.
    """
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
    if not series:
        return judge([], rule.get("evaluation_periods", 1), None)
    if type_name == "anomaly":
        return judge_anomaly(rule, series)
    buckets = series[0]
    if len(series) > 1:
        buckets = join_series(translate(type_name, rule)["statistic"], series)
    kept = drop_outliers(buckets) if rule.get("exclude_outliers") else buckets
    return compare([bucket.value for bucket in kept], rule, state)


def join_series(statistic: str, series: Sequence[Sequence[Bucket]]) -> list[Bucket]:
    """Of several series one: the statistic of their values in each bucket."""
    found: dict[datetime, list[Bucket]] = defaultdict(list)
    for bucket in (bucket for buckets in series for bucket in buckets):
        found[bucket.start_at].append(bucket)
    return [
        Bucket(
            start_at,
            reduce_values(statistic, [one.value for one in same]),
            sum(one.sample_count for one in same),
        )
        for start_at, same in sorted(found.items())
    ]
