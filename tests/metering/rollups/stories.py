"""Random stories of what collectors are sent, random questions about it, and their answers held against brute force."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection
from hypothesis import Phase
from hypothesis import strategies as st

from metering.messages import Meter, Resource, Sample, from_microseconds, sample_id
from metering.queries.errors import TooManyRows
from metering.queries.filters import MetadataMatch, SampleFilter, Scope, TimeBound, metadata_paths
from metering.rollups.arithmetic import Reading
from metering.statistics import Aggregate, CalendarPeriod, StatisticsRequest, compute

from . import reference
from .reference import EPOCH, Question, Stored

# The clocks of Berlin go forward on the third of these days.
BASE = datetime(2016, 3, 25, tzinfo=UTC)
AFTERWARDS = datetime(2016, 5, 1, tzinfo=UTC)
# A real store shrinks slowly: the first story that fails is told as it is.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
HOUR = 3_600_000_000
START = (BASE - EPOCH) // timedelta(microseconds=1)
PLAIN = tuple(Aggregate(name) for name in ("count", "min", "max", "sum", "avg", "stddev", "first", "last"))
CARDINALITIES = tuple(
    Aggregate("cardinality", field) for field in ("resource_id", "project_id", "resource_metadata.flavor.name")
)
INCREASE, INTEGRAL = Aggregate("increase"), Aggregate("integral", "second")
# Which functions are asked for together decides how far back is looked, whether chains are followed and whether rollups can be used.
aggregates = st.sampled_from(
    [
        (*PLAIN, *CARDINALITIES, INCREASE, INTEGRAL),
        (*PLAIN, *CARDINALITIES, INCREASE, INTEGRAL),
        (*PLAIN, *CARDINALITIES),
        (INTEGRAL,),
        (INCREASE, Aggregate("rate")),
        (Aggregate("count"), Aggregate("cardinality", "resource_metadata.number")),
        (Aggregate("count"), *(Aggregate("percentile", share) for share in ("0", "7", "50", "99.9", "100"))),
    ]
)
METERS = {"counter": Meter("counter", "cumulative", "B"), "level": Meter("level", "gauge", "GiB")}

# Few hours, so that many samples share one, at both ends of days; and times all over.
hours = st.sampled_from([0, 1, 22, 23, 24, 25, 47, 48, 71, 72])
moments = st.one_of(
    st.builds(lambda hour, slot: START + hour * HOUR + slot * 600_000_000, hours, st.integers(0, 5)),
    st.builds(lambda hour, off: START + hour * HOUR + off, hours, st.sampled_from([-1, 0, 0, 1])),
    st.builds(lambda slot: START + slot * 600_000_000 + 1_234_567, st.integers(0, 6 * 96)),
    st.just(START - 20 * 24 * HOUR),
)
volumes = st.one_of(
    st.integers(0, 9).map(str),
    st.integers(2**70, 2**70 + 9).map(str),
    st.sampled_from(["0.1", "-2.5", f"0.{'0' * 29}1", "9" * 64, f"-{'9' * 30}.{'9' * 32}"]),
)
# A key may be written as levels or with a dot, and its value need not be text.
states = st.builds(
    lambda flavor, number, team: flavor | {"number": number} | team,
    st.sampled_from(
        [{"flavor": {"name": "small"}}, {"flavor.name": "small"}, {"flavor": {"name": 7}}, {"flavor": 7}, {}]
    ),
    st.sampled_from([1, 1, "1", 2.5, True]),
    st.sampled_from([{}, {}, {"user_metadata": {"team": "a"}}, {"user_metadata.team": "b"}]),
)
resources = st.builds(
    Resource,
    id=st.sampled_from(["r1", "r1", "r2"]),
    source=st.sampled_from(["s", "s", "t"]),
    project=st.sampled_from(["p1", "p1", "p2", None]),
    user=st.sampled_from(["u", "u", "v", None]),
    metadata=states,
)
samples = st.builds(
    Sample, meter=st.sampled_from(list(METERS.values())), resource=resources, timestamp=moments, volume=volumes
)
# "roll" is a round of housekeeping at such an hour; "hours" makes so many hours and leaves the others, and all days.
actions = st.one_of(
    st.tuples(st.just("ingest"), st.lists(samples, min_size=1, max_size=12)),
    st.tuples(st.just("ingest"), st.lists(samples, min_size=1, max_size=12)),
    st.tuples(st.just("again"), st.none()),
    st.tuples(st.just("roll"), st.integers(0, 5 * 24)),
    st.tuples(st.just("roll"), st.just(400 * 24)),
    st.tuples(st.just("hours"), st.sampled_from([1, 3, 99, 99])),
)
days = st.integers(-1, 4).map(lambda day: START + day * 24 * HOUR)
bounds = st.none() | st.builds(
    lambda at, inclusive: TimeBound(from_microseconds(at), inclusive), moments | days, st.booleans()
)
periods = st.one_of(
    st.just(0),
    st.sampled_from([7, 1000, 1800, 3600, 5400, 7200, 86_399, 86_400, 100_000]),
    st.builds(
        CalendarPeriod,
        st.sampled_from(["day", "week", "month"]),
        st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Asia/Beirut"]).map(ZoneInfo),
    ),
)
groups = st.sampled_from(
    [
        (),
        ("project_id",),
        ("resource_id", "source"),
        ("resource_metadata.flavor.name",),
        ("user_id", "resource_metadata.user_metadata.team"),
        ("project_id", "resource_metadata.number"),
    ]
)
filters = st.sampled_from(
    [
        {},
        {"project": "p1"},
        {"resource": "r1"},
        {"source": "t"},
        {"user": "v", "project": "p2"},
        {"flavor.name": '"small"'},
        {"number": "1", "user_metadata.team": '"a"'},
    ]
)
scopes = st.sampled_from([None, ("p1",)])
questions = st.tuples(st.sampled_from(list(METERS)), bounds, bounds, periods, groups, filters, scopes, aggregates)


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM metering_sample; DELETE FROM metering_rollupmark; DELETE FROM metering_rolluphour;"
            "DELETE FROM metering_rollupday; DELETE FROM metering_rollupdaymark"
        )


def remember(sealed, given_) -> list[Stored]:
    return [
        Stored(
            Reading(sample.timestamp, sample_id(sealed.header.id, position).int, Decimal(sample.volume)),
            sample.meter.name,
            sample.meter.unit,
            sample.resource.id,
            sample.resource.source,
            sample.resource.project,
            sample.resource.user,
            sample.resource.metadata,
        )
        for position, sample in enumerate(given_)
    ]


def compare(asked, stored) -> None:
    meter, lower, upper, period, groups_, chosen, projects, functions = asked
    owners = {name: value for name, value in chosen.items() if name in {"project", "resource", "source", "user"}}
    metadata = {name: value for name, value in chosen.items() if name not in owners}
    wanted = SampleFilter(
        meter=meter,
        lower=lower,
        upper=upper,
        metadata=tuple(MetadataMatch(metadata_paths(key), (value,)) for key, value in metadata.items()),
        **owners,
    )
    is_calendar = isinstance(period, CalendarPeriod)
    request = StatisticsRequest(
        wanted,
        Scope(projects),
        period_seconds=0 if is_calendar else period,
        calendar=period if is_calendar else None,
        groups=groups_,
        aggregates=functions,
    )
    low, high = bound_of(lower, after=False), bound_of(upper, after=True)

    def matches(sample: Stored) -> bool:
        return (
            (projects is None or sample.project in projects)
            and all(getattr(sample, name) == value for name, value in owners.items())
            and all(reference.json_of(sample, key) == value for key, value in metadata.items())
        )

    bucket = reference.whole
    if is_calendar:
        bucket = reference.calendar(period.unit, period.zone.key)
    elif period:
        inside = [
            s.reading.at for s in stored if s.meter == meter and matches(s) and (high is None or s.reading.at < high)
        ]
        anchor = bound_of(lower, after=None) if lower else min(inside, default=0)
        bucket = reference.stride(period, anchor)
    with localcontext() as context:
        context.prec = 400
        expected = reference.answer(Question(meter, low, high, bucket, groups_, matches), stored)
        # A row without a sample holds what is held into it: only an integral sees that.
        expected = {key: row for key, row in expected.items() if row["members"] or INTEGRAL in functions}
        try:
            rows = compute(request)
        except TooManyRows:
            assert len(expected) > settings.CELOMETER_STATISTICS_MAX_ROWS
            return
        found = {}
        for row in rows:
            start = (row.period_start_at - EPOCH) // timedelta(microseconds=1) if period else None
            found[row.unit, start, *row.groups.values()] = row.values
        assert set(found) == set(expected)
        for key, row in expected.items():
            reference.check(row, found[key])


def bound_of(bound: TimeBound | None, *, after: bool | None) -> int | None:
    """The bound in µs as an end of a half-open span: one further where the bound's own time belongs to the other side."""
    if bound is None:
        return None
    at = (bound.at - EPOCH) // timedelta(microseconds=1)
    return at if after is None or bound.inclusive != after else at + 1
