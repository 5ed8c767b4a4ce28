"""At every moment the planned answer is what the samples alone give: late, doubled, reordered, while hours and days are being rolled up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from metering.collector.ingestion import Result, ingest
from metering.housekeeping.partitions import ensure_weeks, week_of
from metering.housekeeping.rolling import keep_rollups
from metering.messages import Meter, Resource, Sample, from_microseconds, sample_id
from metering.models import RollupDayMark, RollupMark
from metering.queries.filters import MetadataMatch, SampleFilter, Scope, TimeBound, metadata_paths
from metering.rollups.arithmetic import Reading
from metering.statistics import Aggregate, CalendarPeriod, StatisticsRequest, compute
from tests.support.agents import EnrolledAgent

from . import reference
from .reference import EPOCH, Question, Stored

# The clocks of Berlin go forward on the third of these days.
BASE = datetime(2016, 3, 25, tzinfo=UTC)
AFTERWARDS = datetime(2016, 5, 1, tzinfo=UTC)
# A real store shrinks slowly: the first story that fails is told as it is.
PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
HOUR = 3_600_000_000
START = (BASE - EPOCH) // timedelta(microseconds=1)
FUNCTIONS = ["count", "min", "max", "sum", "avg", "stddev", "first", "last", "increase"]
AGGREGATES = (
    *(Aggregate(name) for name in FUNCTIONS),
    Aggregate("cardinality", "resource_id"),
    Aggregate("cardinality", "project_id"),
    Aggregate("integral", "second"),
)
METERS = {"counter": Meter("counter", "cumulative", "B"), "level": Meter("level", "gauge", "GiB")}

moments = st.one_of(
    st.builds(lambda hour, off: START + hour * HOUR + off, st.integers(0, 96), st.sampled_from([-1, 0, 0, 1])),
    st.builds(lambda slot: START + slot * 600_000_000, st.integers(0, 6 * 96)),
    st.builds(lambda slot: START + slot * 600_000_000 + 1_234_567, st.integers(6 * 20, 6 * 30)),
    st.just(START - 20 * 24 * HOUR),
)
volumes = st.one_of(
    st.integers(0, 9).map(str), st.integers(2**70, 2**70 + 9).map(str), st.sampled_from(["0.1", "-2.5"])
)
states = st.builds(
    lambda flavor, number: {"flavor": {"name": flavor}, "number": number} if flavor else {},
    st.sampled_from(["small", "small", "large", None]),
    st.sampled_from([1, 1, 2]),
)
resources = st.builds(
    Resource,
    id=st.sampled_from(["r1", "r1", "r2"]),
    source=st.sampled_from(["s", "s", "t"]),
    project=st.sampled_from(["p1", "p1", "p2", None]),
    user=st.just("u"),
    metadata=states,
)
samples = st.builds(
    Sample, meter=st.sampled_from(list(METERS.values())), resource=resources, timestamp=moments, volume=volumes
)
actions = st.one_of(
    st.tuples(st.just("ingest"), st.lists(samples, min_size=1, max_size=12)),
    st.tuples(st.just("ingest"), st.lists(samples, min_size=1, max_size=12)),
    st.tuples(st.just("again"), st.none()),
    st.tuples(st.just("roll"), st.integers(0, 5 * 24)),
    st.tuples(st.just("roll"), st.just(400 * 24)),
)
bounds = st.none() | st.builds(
    lambda at, inclusive: TimeBound(from_microseconds(at), inclusive), moments, st.booleans()
)
periods = st.one_of(
    st.just(0),
    st.sampled_from([1800, 3600, 5400, 7200, 86400, 100_000]),
    st.builds(
        CalendarPeriod,
        st.sampled_from(["day", "week", "month"]),
        st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Havana"]).map(ZoneInfo),
    ),
)
groups = st.sampled_from(
    [
        (),
        ("project_id",),
        ("resource_id", "source"),
        ("resource_metadata.flavor.name",),
        ("project_id", "resource_metadata.number"),
    ]
)
filters = st.sampled_from(
    [{}, {"project": "p1"}, {"resource": "r1"}, {"source": "t"}, {"flavor.name": '"small"'}, {"number": "1"}]
)
questions = st.tuples(
    st.sampled_from(list(METERS)), bounds, bounds, periods, groups, filters, st.sampled_from([None, ("p1",)])
)


@pytest.fixture
def rolling_store(store) -> Iterator[None]:
    ensure_weeks({week_of(BASE + timedelta(days=days)) for days in (-22, -20, 0, 5)})
    yield


def test_one_long_story_for_each_example(rolling_store):
    """Real commits, so every example empties the tables itself."""

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
    @given(story=st.lists(actions, min_size=1, max_size=6), asked=st.lists(questions, min_size=6, max_size=6))
    def tell(story, asked):
        empty()
        agent = EnrolledAgent(f"node-{datetime.now(UTC).timestamp()}")
        stored: list[Stored] = []
        last = None
        for number, (action, given_) in enumerate(story):
            if action == "ingest":
                last = agent.seal(given_)
                assert ingest(last.to_bytes()).result == Result.STORED
                stored += remember(last, given_)
            elif action == "again" and last:
                assert ingest(last.to_bytes()).result == Result.DUPLICATE
            elif action == "roll":
                assert keep_rollups(BASE + timedelta(hours=given_), seconds=60).is_done
            compare(asked[number], stored)
        keep_rollups(AFTERWARDS, seconds=60)
        assert not RollupMark.objects.exists() and not RollupDayMark.objects.exists()
        for question in asked:
            compare(question, stored)

    tell()


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
    meter, lower, upper, period, groups_, chosen, projects = asked
    owners = {name: value for name, value in chosen.items() if name in {"project", "resource", "source"}}
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
        aggregates=AGGREGATES,
    )
    low, high = bound_of(lower, after=False), bound_of(upper, after=True)

    def matches(sample: Stored) -> bool:
        return (
            (projects is None or sample.project in projects)
            and all(getattr(sample, name) == value for name, value in owners.items())
            and all(
                reference.value_of(sample, f"resource_metadata.{key}") == value.strip('"')
                for key, value in metadata.items()
            )
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
        found = {}
        for row in compute(request):
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
