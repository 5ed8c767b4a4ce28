"""The one statement of a statistics question: pieces, the steps between them, rows.

``count``, ``sum`` and their like add pieces up. ``increase`` and ``integral`` also go along each chain (meter and resource, whoever owns
it): a step belongs to its later sample, a held value to the sample that holds it, and what is held is clipped to the window and split
among the buckets.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.utils import timezone

from metering.queries.conditions import (
    SERIES,
    meter_conditions,
    owner_conditions,
    series_samples,
    state_conditions,
)
from metering.queries.database import Statement
from metering.queries.filters import TimeBound, metadata_paths
from metering.queries.meters import KnownMeter
from metering.rollups.arithmetic import HOLD_SECONDS
from metering.rollups.dimension_sets import covers

from .buckets import Buckets, CalendarBuckets, OneBucket, StrideBuckets, calendar_edges
from .coverage import BEGINNING, END, Coverage, Span, cover, samples_only
from .pieces import DIMENSIONS, NO_DOCUMENT, STATE, Document, Pieces, relations
from .request import OWNER_FIELDS, STEP_FUNCTIONS, Aggregate, StatisticsRequest, metadata_key

__all__ = ["FIXED_COLUMNS", "Plan", "plan", "statistics_statement"]

# Columns before those of groups and aggregates: unit, first and last time, start of the bucket.
FIXED_COLUMNS = 4
_MICROSECOND = timedelta(microseconds=1)
_OWN = " FILTER (WHERE c.is_own)"
_COUNT = f"coalesce(sum(p.sample_count){_OWN}, 0)"
_SUM = f"sum(p.volume_sum){_OWN}"
_SQUARES = f"sum(p.volume_square_sum){_OWN}"
# Added to a dividend: a quotient has at least as many decimals as that, where PostgreSQL would stop at 16 digits.
_FINE = "0.000000000000000000000000"
_FUNCTIONS = {
    "count": f"{_COUNT}::bigint",
    "min": f"min(p.volume_min){_OWN}",
    "max": f"max(p.volume_max){_OWN}",
    "sum": _SUM,
    "avg": f"({_SUM} + {_FINE}) / nullif({_COUNT}, 0)",
    "stddev": f"sqrt(({_COUNT} * {_SQUARES} - {_SUM} * {_SUM} + {_FINE}) / nullif({_COUNT} * {_COUNT}, 0))",
    "first": f"(array_agg(p.first_volume ORDER BY p.first_at, p.first_id){_OWN})[1]",
    "last": f"(array_agg(p.last_volume ORDER BY p.last_at DESC, p.last_id DESC){_OWN})[1]",
    "increase": f"sum(p.increase + c.edge_increase){_OWN}",
    # A rate is the increase over the row's time, which the engine knows.
    "rate": f"sum(p.increase + c.edge_increase){_OWN}",
    "integral": f"(sum(c.integral) + {_FINE}) / 3600",
    "integral/hour": f"(sum(c.integral) + {_FINE}) / 3600",
    "integral/second": "sum(c.integral)",
}


class Plan:
    """How a question is going to be answered; ``meters`` are those of the name that is asked for."""

    def __init__(
        self, request: StatisticsRequest, aggregates: tuple[Aggregate, ...], meters: Sequence[KnownMeter]
    ) -> None:
        self.request = request
        self.meters = meters
        self.aggregates = aggregates
        functions = {aggregate.function for aggregate in aggregates}
        self.follows_steps = not functions.isdisjoint(STEP_FUNCTIONS)
        self.has_integral = "integral" in functions
        self.document = _document(request, aggregates)
        self.buckets, self.window = _buckets(request)
        self.coverage = self._cover()

    def _cover(self) -> Coverage:
        if reason := _needs_samples(self.request, self.aggregates, self.document):
            return samples_only(self.window, reason=reason)
        today = timezone.now().replace(hour=0, minute=0, second=0, microsecond=0)
        return cover(self.window, self.buckets, horizon=today + timedelta(days=1))

    def pieces(self, needed: frozenset[str]) -> Pieces:
        """What to read, when so much of it is going to be looked at."""
        looks_back = 0
        if self.follows_steps:
            only_held = all(a.function not in ("increase", "rate") for a in self.aggregates)
            looks_back = HOLD_SECONDS if only_held else None
        return Pieces(
            self.request,
            self.meters,
            self.coverage,
            self.document,
            along_chains=self.follows_steps,
            looks_back_seconds=looks_back,
            needed=needed,
        )


def plan(request: StatisticsRequest, aggregates: tuple[Aggregate, ...], meters: Sequence[KnownMeter] = ()) -> Plan:
    """Decide what comes from rollups and what from samples."""
    return Plan(request, aggregates, meters)


def _needs_samples(request: StatisticsRequest, aggregates: tuple[Aggregate, ...], document: Document) -> str:
    """Why rollups cannot answer at all; "" when they may."""
    if any(aggregate.function == "percentile" for aggregate in aggregates):
        return "percentiles are taken from samples"
    if document is STATE:
        return "rollups are not kept by this metadata key"
    if request.wanted.message_id is not None:
        return "one sample is asked for"
    return ""


def _metadata_fields(request: StatisticsRequest, aggregates: tuple[Aggregate, ...]) -> list[str]:
    return [key for key in map(metadata_key, _fields(request, aggregates)) if key]


def _fields(request: StatisticsRequest, aggregates: tuple[Aggregate, ...]) -> list[str]:
    """What is grouped by or counted."""
    return [*request.groups, *(aggregate.parameter or "" for aggregate in aggregates)]


def _document(request: StatisticsRequest, aggregates: tuple[Aggregate, ...]) -> Document:
    paths = [metadata_paths(key) for key in _metadata_fields(request, aggregates)]
    paths += [match.paths for match in request.wanted.metadata]
    if not paths:
        return NO_DOCUMENT
    return DIMENSIONS if all(covers(places) for places in paths) else STATE


def _buckets(request: StatisticsRequest) -> tuple[Buckets, Span]:
    """The buckets, and the window as a half-open span: times have microseconds, so any bound can be written so."""
    lower, upper = request.wanted.lower, request.wanted.upper
    low = _after(lower) if lower and not lower.inclusive else lower.at if lower else BEGINNING
    high = _after(upper) if upper and upper.inclusive else upper.at if upper else END
    if request.calendar:
        # Nothing else is stored: the floor date and the future bound see to it.
        latest = timezone.now() + settings.CELOMETER_FUTURE_BOUND + timedelta(days=1)
        low = min(max(low, settings.CELOMETER_FLOOR_DATE), latest)
        high = max(low, min(high, latest))
        return CalendarBuckets(calendar_edges(*request.calendar, low, high)), (low, high)
    if request.period_seconds:
        return StrideBuckets(request.period_seconds, lower.at if lower else None), (low, high)
    return OneBucket(), (low, high)


def _after(bound: TimeBound) -> datetime:
    return bound.at + _MICROSECOND if bound.at < datetime.max.replace(tzinfo=UTC) else bound.at


def statistics_statement(planned: Plan, *, limit: int) -> Statement:
    """Rows of unit, first time, last time, bucket start (null without period), each group, each aggregate.

    Ordered by bucket, then by which group's resources were stored first. First and last time are null in a row that holds nothing but a
    value from an earlier one. There must be meters.
    """
    request = planned.request
    owners = owner_conditions(request.wanted, request.scope) if planned.follows_steps else Statement("")
    columns = [_column_of(planned, name) for name in request.groups]
    columns += [_aggregate(planned, aggregate) for aggregate in planned.aggregates]
    positions = ", ".join(["1", *(str(FIXED_COLUMNS + n) for n in range(1 + len(request.groups)))])
    statement = Statement("SELECT ").then_all(_unit(planned.meters))
    statement = statement.then(f", min(p.first_at){_OWN}, max(p.last_at){_OWN}, c.bucket_at")
    for column in columns:
        statement = statement.then(", ").then_all(column)
    statement = statement.then_all(_linked(planned), _contributions(planned))
    if owners.sql or not OWNER_FIELDS.isdisjoint(_fields(request, planned.aggregates)):
        statement = statement.then(" JOIN metering_resource r ON r.id = p.resource_id")
    if planned.document is not NO_DOCUMENT:
        statement = statement.then(f" JOIN {planned.document.relation} st ON st.id = p.document_id")
    statement = (
        statement.then(" WHERE p.asked")
        .then_all(owners, state_conditions(request.wanted))
        .then(f" GROUP BY {positions} ORDER BY {FIXED_COLUMNS}, min(p.resource_id), 1 LIMIT %s", limit)
    )
    # What is not named here is not read.
    needed = frozenset(re.findall(r"\bp\.(\w+)", statement.sql))
    return Statement("").then_all(relations(planned.pieces(needed)), _calendar(planned), _anchor(request), statement)


def _unit(meters: Sequence[KnownMeter]) -> Statement:
    """The unit of a piece. Mostly there is one, which is no work for each row."""
    units = {meter.unit: [other.id for other in meters if other.unit == meter.unit] for meter in meters}
    if len(units) == 1:
        return Statement("%s::text", tuple(units))
    cases = Statement("CASE")
    for unit, ids in units.items():
        cases = cases.then(" WHEN p.meter_id IN %s THEN %s::text", tuple(ids), unit)
    return cases.then(" END")


def _column_of(planned: Plan, field: str) -> Statement:
    key = metadata_key(field)
    if key is None:
        return Statement(f"r.{field}")
    places = metadata_paths(key)
    texts = ", ".join(["st.metadata #>> %s::text[]"] * len(places))
    return Statement(f"coalesce({texts})", tuple(list(place) for place in places))


def _aggregate(planned: Plan, aggregate: Aggregate) -> Statement:
    function, parameter = aggregate
    if function == "cardinality":
        return Statement("count(DISTINCT ").then_all(_column_of(planned, parameter or "")).then(f"){_OWN}")
    if function == "percentile":
        # The smallest that at least so many in a hundred do not exceed. PostgreSQL's own percentile_disc counts in doubles: 7 % of a
        # hundred is the eighth there.
        ordered = f"(array_agg(p.first_volume ORDER BY p.first_volume){_OWN})"
        return Statement(f"{ordered}[greatest(ceil({_COUNT} * %s * 0.01), 1)::bigint]", (Decimal(parameter or 0),))
    return Statement(_FUNCTIONS[aggregate.key])


def _linked(planned: Plan) -> Statement:
    """The pieces; along chains, each with the last volume before it and the time of the next one.

    A chain goes on by the rows that open or close an hour or day of it, the opening one first; rows in between are windowed for themselves.
    """
    if not planned.follows_steps:
        return Statement(" FROM piece p")
    return Statement(
        " FROM (SELECT p.*, lag(p.last_volume) OVER chain AS previous, least(lead(p.first_at) OVER chain,"
        " p.last_at + make_interval(secs => %s), %s) AS held_until"
        " FROM piece p JOIN metering_resource r ON r.id = p.resource_id WINDOW chain AS"
        " (PARTITION BY r.chain_id, p.meter_id, p.opens OR p.closes ORDER BY p.unit_at, p.unit_id, p.closes)) p",
        (HOLD_SECONDS, planned.window[1]),
    )


def _contributions(planned: Plan) -> Statement:
    """What each piece gives to which bucket: its own values (``is_own``), and what its last value is held for."""
    edge = "0"
    if planned.follows_steps:
        edge = (
            "CASE WHEN NOT p.opens OR p.previous IS NULL THEN 0"
            " WHEN p.first_volume < p.previous THEN p.first_volume ELSE p.first_volume - p.previous END"
        )
    start = planned.window[0].isoformat()
    begins = f"greatest(p.last_at, '{start}'::timestamptz)"
    is_held = f"p.closes AND p.held_until > {begins}"
    if planned.has_integral and isinstance(planned.buckets, OneBucket):
        # There is nothing to split: one row for each piece will do.
        held = f"CASE WHEN {is_held} THEN p.last_volume * extract(epoch FROM p.held_until - {begins}) ELSE 0 END"
        return Statement(
            f" CROSS JOIN LATERAL (SELECT NULL::timestamptz AS bucket_at, p.inside AS is_own, {edge} AS edge_increase,"
            f" CASE WHEN p.inside THEN p.integral ELSE 0 END + {held} AS integral WHERE p.inside OR {is_held}) c"
        )
    own = Statement(" CROSS JOIN LATERAL (SELECT ").then_all(planned.buckets.start_of("p.first_at"))
    own = own.then(f" AS bucket_at, true AS is_own, {edge} AS edge_increase, p.integral AS integral WHERE p.inside")
    if not planned.has_integral:
        return own.then(") c")
    return (
        own.then(
            " UNION ALL SELECT b.bucket_at, false, 0, p.last_volume * extract(epoch FROM b.end_at - b.start_at) FROM ("
        )
        .then_all(planned.buckets.overlapping(begins, "p.held_until"))
        .then(f") b WHERE {is_held}) c")
    )


def _calendar(planned: Plan) -> Statement:
    if not isinstance(planned.buckets, CalendarBuckets):
        return Statement("")
    return Statement(", calendar AS MATERIALIZED (SELECT %s::timestamptz[] AS edges) ", (list(planned.buckets.edges),))


def _anchor(request: StatisticsRequest) -> Statement:
    """The earliest matching sample, from the head of each series in the index; nothing where it is not needed."""
    if not request.period_seconds or request.wanted.lower:
        return Statement("")
    return (
        Statement(f", anchor AS MATERIALIZED (SELECT min(first.timestamp) AS at FROM{SERIES} CROSS JOIN LATERAL (")
        .then_all(series_samples("s.timestamp", request.wanted))
        .then(" ORDER BY s.timestamp LIMIT 1) first WHERE true")
        .then_all(meter_conditions(request.wanted), owner_conditions(request.wanted, request.scope))
        .then(") ")
    )
