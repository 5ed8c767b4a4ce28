"""Rules that compare a series of values: which statistics they have to be given, and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from .decision import State
from .outcomes import Outcome, compare
from .outliers import drop_outliers
from .windows import Bucket, Window, window_of

__all__ = ["SERIES_TYPES", "Reading", "outcome_of", "readings_of"]

# Those that may stand alone or be the leaf of a composite.
SERIES_TYPES = ("threshold",)


class Reading(NamedTuple):
    """A series that a rule has to be given: the statistic of a meter's samples that match the query, for each bucket of the window."""

    meter_name: str
    statistic: str
    query: Sequence[Mapping[str, Any]]
    window: Window


def readings_of(type_name: str, rule: Mapping[str, Any], end_at: datetime) -> list[Reading]:
    """What the rule looks at for its decision at ``end_at``."""
    return [Reading(rule["meter_name"], rule["statistic"], rule["query"], window_of(rule, end_at))]


def outcome_of(type_name: str, rule: Mapping[str, Any], series: Sequence[Sequence[Bucket]], state: State) -> Outcome:
    """What the series, in the order of ``readings_of``, each oldest first, come to. ``state``: that of the alarm, or of the leaf."""
    (buckets,) = series
    kept = drop_outliers(buckets) if rule.get("exclude_outliers") else buckets
    return compare([bucket.value for bucket in kept], rule, state)
