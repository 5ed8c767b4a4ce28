"""A statistics question, checked and typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import NamedTuple

from metering.queries.errors import QueryError, UnknownArgument, shorten
from metering.queries.filters import SampleFilter, Scope

__all__ = [
    "FUNCTIONS",
    "GROUP_FIELDS",
    "STANDARD_FUNCTIONS",
    "Aggregate",
    "StatisticsRequest",
    "parse_aggregates",
    "parse_groups",
    "parse_period",
]

STANDARD_FUNCTIONS = ("count", "min", "max", "sum", "avg")
CARDINALITY = "cardinality"
FUNCTIONS = (*STANDARD_FUNCTIONS, "stddev", CARDINALITY)
GROUP_FIELDS = ("user_id", "project_id", "resource_id", "source")
# A bucket that begins today must end within the calendar.
_LONGEST_PERIOD_SECONDS = 7800 * 365 * 86400


class Aggregate(NamedTuple):
    """A function over the samples of a row; ``parameter`` is what cardinality counts."""

    function: str
    parameter: str | None = None

    @property
    def key(self) -> str:
        """What its result is called in an answer."""
        return self.function if self.parameter is None else f"{self.function}/{self.parameter}"


@dataclass(frozen=True, slots=True)
class StatisticsRequest:
    """What to compute. ``wanted`` names the meter; no aggregates means the standard five; period 0 means one row for all time."""

    wanted: SampleFilter
    scope: Scope
    period_seconds: int = 0
    groups: tuple[str, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()


def parse_period(seconds: int) -> int:
    """Check a period's length. Raises QueryError."""
    if seconds < 0:
        raise QueryError("Period must be positive.", value=seconds)
    if seconds > _LONGEST_PERIOD_SECONDS:
        raise QueryError(
            f"Invalid period {shorten(seconds)}: expected at most {_LONGEST_PERIOD_SECONDS} seconds", value=seconds
        )
    return seconds


def parse_groups(names: Sequence[str]) -> tuple[str, ...]:
    """Check the fields to group by; repeated ones count once. Raises UnknownArgument."""
    unknown = {shorten(name) for name in names if name not in GROUP_FIELDS}
    if unknown:
        shown = "{" + ", ".join(repr(name) for name in sorted(unknown)[:20]) + "}"
        raise UnknownArgument(shown, "Invalid groupby fields")
    return tuple(dict.fromkeys(names))


def parse_aggregates(functions: Sequence[str], parameters: Sequence[str]) -> tuple[Aggregate, ...]:
    """Pair functions with parameters by position; repeated pairs count once. Raises QueryError."""
    if len(parameters) > len(functions):
        raise QueryError(
            f"aggregate.param was given {len(parameters)} times for {len(functions)} functions", value=parameters[-1]
        )
    for function in functions:
        if function not in FUNCTIONS:
            raise QueryError(f"Invalid aggregation function: {shorten(function)}", value=function)
    pairs = [Aggregate(function, parameter or None) for function, parameter in zip_longest(functions, parameters)]
    # A missing parameter is told first: the usual cause of a parameter too many is that it stands at the wrong function.
    for function, parameter in sorted(pairs, key=lambda pair: pair.function != CARDINALITY):
        countable = function == CARDINALITY and parameter in GROUP_FIELDS
        if not countable and (function == CARDINALITY or parameter is not None):
            raise QueryError(f"Bad aggregate: {function}.{shorten(parameter)}", value=parameter)
    return tuple(dict.fromkeys(pairs))
