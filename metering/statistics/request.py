"""A statistics question, checked and typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import zip_longest
from typing import NamedTuple, get_args
from zoneinfo import ZoneInfo

from metering.queries.errors import InvalidInput, QueryError, UnknownArgument, shorten
from metering.queries.filters import SampleFilter, Scope
from metering.queries.values import parse_integer

from .buckets import CalendarUnit

__all__ = [
    "FUNCTIONS",
    "OWNER_FIELDS",
    "STANDARD_FUNCTIONS",
    "STEP_FUNCTIONS",
    "Aggregate",
    "CalendarPeriod",
    "StatisticsRequest",
    "metadata_key",
    "parse_aggregates",
    "parse_groups",
    "parse_period",
    "parse_zone",
]

STANDARD_FUNCTIONS = ("count", "min", "max", "sum", "avg")
# Those that follow a resource from sample to sample.
STEP_FUNCTIONS = ("increase", "rate", "integral")
CARDINALITY, PERCENTILE, INTEGRAL = "cardinality", "percentile", "integral"
FUNCTIONS = (*STANDARD_FUNCTIONS, "stddev", CARDINALITY, "first", "last", *STEP_FUNCTIONS, PERCENTILE)
OWNER_FIELDS = frozenset({"user_id", "project_id", "resource_id", "source"})
_INTEGRAL_UNITS = ("hour", "second")
_METADATA_PREFIX = "resource_metadata."
# A bucket that begins today must end within the calendar.
_LONGEST_PERIOD_SECONDS = 7800 * 365 * 86400


class Aggregate(NamedTuple):
    """A function over the samples of a row. ``parameter``: what cardinality counts, which percentile, the integral's unit of time."""

    function: str
    parameter: str | None = None

    @property
    def key(self) -> str:
        """What its result is called in an answer."""
        return self.function if self.parameter is None else f"{self.function}/{self.parameter}"


class CalendarPeriod(NamedTuple):
    """Days, weeks or months as they begin in a time zone."""

    unit: CalendarUnit
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class StatisticsRequest:
    """What to compute. ``wanted`` names the meter; no aggregates means the standard five; period 0 means one row for all time.

    With a ``calendar``, ``period_seconds`` is 0.
    """

    wanted: SampleFilter
    scope: Scope
    period_seconds: int = 0
    groups: tuple[str, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    calendar: CalendarPeriod | None = None

    @property
    def has_period(self) -> bool:
        return bool(self.period_seconds or self.calendar)


def metadata_key(field: str) -> str | None:
    """The metadata key that a field to group by or count names; None for any other field."""
    key = field.removeprefix(_METADATA_PREFIX)
    return key if key and key != field else None


def parse_period(period: str, zone: str | None = None) -> int | CalendarPeriod:
    """Check a period: seconds, or ``day``, ``week``, ``month`` with a time zone (UTC if None). Raises QueryError."""
    if period in get_args(CalendarUnit):
        return CalendarPeriod(period, parse_zone(zone or "UTC"))  # type: ignore[arg-type]
    if zone is not None:
        raise InvalidInput("tz", zone, "expected only with a period of day, week or month")
    seconds = parse_integer("period", period)
    if seconds < 0:
        raise QueryError("Period must be positive.", value=seconds)
    if seconds > _LONGEST_PERIOD_SECONDS:
        raise QueryError(
            f"Invalid period {shorten(seconds)}: expected at most {_LONGEST_PERIOD_SECONDS} seconds", value=seconds
        )
    return seconds


def parse_zone(name: str) -> ZoneInfo:
    """The time zone of that name. Raises InvalidInput."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise InvalidInput("tz", name, "expected the name of a time zone, such as Europe/Berlin") from error


def parse_groups(names: Sequence[str]) -> tuple[str, ...]:
    """Check the fields to group by; repeated ones count once. Raises UnknownArgument."""
    unknown = {shorten(name) for name in names if name not in OWNER_FIELDS and metadata_key(name) is None}
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
    for function, parameter in sorted(pairs, key=lambda pair: pair.function not in (CARDINALITY, PERCENTILE)):
        if not _is_parameter(function, parameter):
            raise QueryError(f"Bad aggregate: {function}.{shorten(parameter)}", value=parameter)
    return tuple(dict.fromkeys(pairs))


def _is_parameter(function: str, parameter: str | None) -> bool:
    if function == CARDINALITY:
        return parameter in OWNER_FIELDS or (parameter is not None and metadata_key(parameter) is not None)
    if function == PERCENTILE:
        return parameter is not None and _is_percentage(parameter)
    return parameter is None or (function == INTEGRAL and parameter in _INTEGRAL_UNITS)


def _is_percentage(text: str) -> bool:
    try:
        return len(text) <= 20 and 0 <= Decimal(text) <= 100
    except InvalidOperation:
        return False
