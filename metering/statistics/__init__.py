"""Statistics of a meter: what is asked (``request``), how it is computed (``samples``), what comes out (``engine``).

``engine.compute`` is the door. It hands a checked request to a planner of one path today, samples; rollups join there.
"""

from .engine import compute
from .request import Aggregate, StatisticsRequest, parse_aggregates, parse_groups, parse_period
from .rows import StatisticsRow

__all__ = [
    "Aggregate",
    "StatisticsRequest",
    "StatisticsRow",
    "compute",
    "parse_aggregates",
    "parse_groups",
    "parse_period",
]
