"""Statistics of a meter, exact and in one statement, from rollups where they are valid and from samples elsewhere.

The way of a question: ``request`` (what is asked) → ``buckets`` and ``coverage`` (how time is cut, and what may come from where) →
``pieces`` and ``statement`` (SQL) → ``rows``. ``engine.compute`` is the door.
"""

from .engine import compute, explain
from .request import (
    FUNCTIONS,
    OWNER_FIELDS,
    Aggregate,
    CalendarPeriod,
    StatisticsRequest,
    parse_aggregates,
    parse_groups,
    parse_period,
)
from .rows import StatisticsRow

__all__ = [
    "FUNCTIONS",
    "OWNER_FIELDS",
    "Aggregate",
    "CalendarPeriod",
    "StatisticsRequest",
    "StatisticsRow",
    "compute",
    "explain",
    "parse_aggregates",
    "parse_groups",
    "parse_period",
]
