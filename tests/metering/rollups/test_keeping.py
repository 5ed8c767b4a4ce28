"""Hours and days as housekeeping makes them; collectors and housekeepers at it together."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal, localcontext

import pytest
from django.db import connection
from django.db.models import Sum
from hypothesis import given
from hypothesis import strategies as st

from metering.collector.ingestion import Result, ingest
from metering.housekeeping.locks import Part, holding_part
from metering.housekeeping.partitions import ROLLUPS, ensure_weeks, week_of
from metering.housekeeping.rolling import keep_rollups
from metering.messages import Meter, Resource, Sample, sample_id
from metering.models import RollupDay, RollupDayMark, RollupHour, RollupMark
from metering.models import Sample as StoredSample
from metering.queries.filters import MetadataMatch, SampleFilter, Scope, TimeBound
from metering.retention.floors import raise_floor
from metering.rollups.arithmetic import Reading, fold, join
from metering.rollups.dimension_sets import covers, take_dimensions
from metering.rollups.recompute import recompute_hour
from metering.statistics import Aggregate, StatisticsRequest, compute, explain
from tests.support.agents import EnrolledAgent
from tests.support.samples import at

from .reference import EPOCH

NOON = at("2016-03-25T12:00:00")
AFTERWARDS = at("2016-05-01T00:00:00")
COUNTER = Meter("counter", "cumulative", "B")
STEPS = (Aggregate("increase"), Aggregate("integral", "second"))

readings = st.builds(
    Reading, st.integers(0, 10**10), st.integers(0, 99), st.integers(-9, 9).map(Decimal) | st.decimals(-9, 9, places=3)
)


@pytest.fixture
def rolling_store(store) -> Iterator[None]:
    ensure_weeks({week_of(NOON)})
    yield


def sample(minutes: float, volume: object, *, project: str = "p1", metadata: dict | None = None) -> Sample:
    moment = (NOON - EPOCH) // timedelta(microseconds=1) + int(minutes * 60_000_000)
    return Sample(COUNTER, Resource("r1", "s", project, "u", metadata or {}), moment, str(volume))


def ask(*, days: tuple[int, int] = (-1, 3), period: int = 0, **selected):
    bounds = [TimeBound(NOON.replace(hour=0) + timedelta(days=day), inclusive=n == 0) for n, day in enumerate(days)]
    wanted = SampleFilter(meter="counter", lower=bounds[0], upper=bounds[1], **selected)
    return compute(StatisticsRequest(wanted, Scope(None), period_seconds=period, aggregates=STEPS))


@given(st.lists(readings, min_size=2, max_size=12, unique_by=lambda reading: reading[:2]), st.data())
def test_a_rollup_of_two_halves_joined_is_the_rollup_of_the_whole(found, data):
    cut = data.draw(st.integers(1, len(found) - 1))
    ordered = sorted(found)
    assert join(fold(ordered[:cut]), fold(ordered[cut:])) == fold(found)


def test_an_hour_in_the_store_is_what_the_arithmetic_says(rolling_store):
    given_ = [sample(10, 5), sample(3, 7), sample(3, 9), sample(30, 2), sample(44.25, "2.5")]
    sealed = EnrolledAgent().seal(given_)
    ingest(sealed.to_bytes())
    keep_rollups(AFTERWARDS)
    expected = fold(
        [Reading(s.timestamp, sample_id(sealed.header.id, n).int, Decimal(s.volume)) for n, s in enumerate(given_)]
    )
    for row in (RollupHour.objects.get(), RollupDay.objects.get()):
        assert (row.sample_count, row.volume_sum, row.volume_square_sum) == (
            expected.count,
            expected.sum,
            expected.square_sum,
        )
        assert (row.volume_min, row.volume_max) == (expected.min, expected.max)
        assert (row.first_id.int, row.first_volume) == expected.first[1:]
        assert (row.last_id.int, row.last_volume) == expected.last[1:]
        assert (row.increase, row.integral) == (expected.increase, expected.integral)
        assert row.opens and row.closes


def test_the_running_hour_and_day_are_left_to_samples(rolling_store):
    ingest(EnrolledAgent().message([sample(-90, 1), sample(5, 2)]))
    assert keep_rollups(NOON + timedelta(minutes=30))[:2] == (1, 0)
    assert (RollupHour.objects.count(), RollupMark.objects.count(), RollupDayMark.objects.count()) == (1, 1, 1)
    assert keep_rollups(NOON + timedelta(days=1))[:2] == (1, 1)
    assert not RollupMark.objects.exists() and not RollupDayMark.objects.exists()


def test_a_late_sample_changes_totals_by_exactly_itself(rolling_store):
    agent = EnrolledAgent()
    ingest(agent.message([sample(0, 10), sample(120, 16)]))
    keep_rollups(AFTERWARDS)
    assert [row.values["increase"] for row in ask()] == [6]
    ingest(agent.message([sample(60, 20)]))
    for _ in range(2):
        # Up to 20, then a reset: 10 and 16.
        assert [row.values["increase"] for row in ask()] == [26]
        keep_rollups(AFTERWARDS)


def test_a_day_whose_hour_was_made_anew_is_not_believed_before_it_was_made_itself(rolling_store):
    agent = EnrolledAgent()
    ingest(agent.message([sample(0, 10), sample(120, 16)]))
    keep_rollups(AFTERWARDS)
    ingest(agent.message([sample(130, 20)]))
    mark = RollupMark.objects.get()
    assert recompute_hour(mark.hour, [mark.meter_id])
    assert (RollupMark.objects.count(), RollupDayMark.objects.count()) == (0, 1)
    assert [row.values["increase"] for row in ask()] == [10]


def test_a_resource_that_goes_from_owner_to_owner_and_back_loses_no_step(rolling_store):
    owners = ["p1", "p1", "p2", "p1", "p2", "p2"]
    ingest(EnrolledAgent().message([sample(n * 40, n * 10, project=owner) for n, owner in enumerate(owners)]))
    for _ in range(2):
        assert [row.values["increase"] for row in ask(project="p1")] == [20]
        assert [row.values["increase"] for row in ask(project="p2")] == [30]
        assert [row.values["integral/second"] for row in ask()] == [sum((0, 10, 20, 30, 40)) * 2400 + 50 * 3600]
        keep_rollups(AFTERWARDS)


def test_a_month_is_the_sum_of_its_days(rolling_store):
    ingest(EnrolledAgent().message([sample(n * 47, (n * 7919) % 1000) for n in range(-20, 60)]))
    for _ in range(2):
        (whole,) = ask()
        days = ask(period=86400)
        assert len(days) == 4
        for name in ("increase", "integral/second"):
            assert sum(row.values[name] or 0 for row in days) == whole.values[name]
        keep_rollups(AFTERWARDS)


def test_a_window_begins_with_the_last_value_before_it(rolling_store):
    """23:20, then 00:05: asked from midnight on, before and after the hours are rolled up, and when one more comes late."""
    agent = EnrolledAgent()
    ingest(agent.message([sample(680, 10), sample(725, 16)]))
    for _ in range(2):
        assert [tuple(row.values.values()) for row in ask(days=(1, 3))] == [(6, 10 * 300 + 16 * 3600)]
        keep_rollups(AFTERWARDS)
    ingest(agent.message([sample(710, 13, project="p2")]))
    for _ in range(2):
        assert [tuple(row.values.values()) for row in ask(days=(1, 3))] == [(3, 13 * 300 + 16 * 3600)]
        assert [row.values["increase"] for row in ask(days=(1, 3), project="p1")] == [3]
        keep_rollups(AFTERWARDS)


def test_a_step_into_a_window_may_come_from_long_before_it(rolling_store):
    ingest(EnrolledAgent().message([sample(300, 10), sample(725, 16)]))
    for _ in range(2):
        assert [tuple(row.values.values()) for row in ask(days=(1, 3))] == [(6, 16 * 3600)]
        keep_rollups(AFTERWARDS)


def test_a_rollup_below_the_floor_gives_a_window_no_value_that_its_samples_do_not(rolling_store):
    ingest(EnrolledAgent().message([sample(680, 10), sample(725, 16)]))
    keep_rollups(AFTERWARDS)
    midnight = NOON.replace(hour=0) + timedelta(days=1)
    raise_floor("samples.standard", midnight)
    StoredSample.objects.filter(timestamp__lt=midnight).delete()
    assert [tuple(row.values.values()) for row in ask(days=(1, 3))] == [(0, 16 * 3600)]


def test_a_gap_longer_than_the_bound_is_not_bridged(rolling_store):
    ingest(EnrolledAgent().message([sample(0, 2), sample(600, 3)]))
    assert [row.values["integral/second"] for row in ask()] == [5 * 3600]


def test_a_value_held_into_a_period_without_samples_gives_it_a_row(rolling_store):
    ingest(EnrolledAgent().message([sample(11 * 60 + 30, 4)]))
    rows = ask(period=86400)
    assert [(row.values["integral/second"], row.values["increase"]) for row in rows] == [(7200, 0), (7200, None)]
    assert [row.duration is None for row in rows] == [False, True]


def test_what_rollups_cannot_tell_is_answered_from_samples_beside_them(rolling_store):
    sealed = EnrolledAgent().seal([sample(n, volume, metadata={"n": n % 2}) for n, volume in enumerate((5, 1, 9, 3))])
    ingest(sealed.to_bytes())
    keep_rollups(AFTERWARDS)
    assert RollupDay.objects.get().sample_count == 4
    median = Aggregate("percentile", "50")
    for selected, groups, functions, found in (
        ({}, (), (median,), [{"percentile/50": 3}]),
        ({}, ("resource_metadata.n",), (Aggregate("sum"),), [{"sum": 14}, {"sum": 4}]),
        ({"metadata": (MetadataMatch((("n",),), ("1",)),)}, (), (Aggregate("sum"),), [{"sum": 4}]),
        ({}, (), (Aggregate("cardinality", "resource_metadata.n"),), [{"cardinality/resource_metadata.n": 2}]),
        ({"message_id": str(sample_id(sealed.header.id, 2))}, (), (Aggregate("sum"),), [{"sum": 9}]),
    ):
        wanted = SampleFilter(meter="counter", **selected)
        rows = compute(StatisticsRequest(wanted, Scope(None), groups=groups, aggregates=functions))
        assert [row.values for row in rows] == found


def test_the_plan_says_what_is_read_and_why():
    wanted = SampleFilter(
        meter="counter",
        lower=TimeBound(at("2016-03-01T10:30:00"), inclusive=True),
        upper=TimeBound(at("2016-03-04T00:00:00"), inclusive=False),
    )
    plan = explain(StatisticsRequest(wanted, Scope(None)))
    assert "days 2016-03-02T00:00:00..2016-03-04T00:00:00" in plan
    assert "hours 2016-03-01T11:00:00..2016-03-02T00:00:00" in plan
    assert "samples 2016-03-01T10:30:00..2016-03-01T11:00:00" in plan
    volatile = StatisticsRequest(wanted, Scope(None), groups=("resource_metadata.display_name",))
    assert explain(volatile).endswith("rollups are not kept by this metadata key")


def test_dimension_sets_hold_declared_keys_where_they_stood():
    metadata = {"flavor": {"name": "m1", "ram": 4}, "image.id": "i", "state": "active", "user_metadata": {"a": 1}}
    assert take_dimensions(metadata) == {"flavor": {"name": "m1"}, "image.id": "i", "user_metadata": {"a": 1}}
    assert take_dimensions({"flavor": "m1", "host": None}) == {"host": None}
    assert covers([("flavor", "name"), ("flavor.name",), ("user_metadata", "x", "y")])
    assert not covers([("flavor", "name"), ("flavor", "ram")])


def test_a_housekeeper_leaves_alone_what_another_has_in_hand(rolling_store):
    ingest(EnrolledAgent().message([sample(0, 1)]))
    ensure_weeks([NOON], parents=ROLLUPS)
    held = []

    def other():
        held.append(keep_rollups(AFTERWARDS))
        connection.close()

    with holding_part(Part.ROLLUP_HOUR, (NOON - EPOCH) // timedelta(hours=1)) as mine:
        assert mine
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert held[0][:2] == (0, 0)
    assert RollupMark.objects.count() == 1


def test_answers_are_exact_while_collectors_and_housekeepers_run(rolling_store):
    """Each batch raises the counter of a thread's own by one step per sample: any answer is a whole number of batches."""
    writers, batches, per_batch = 3, 25, 4
    agents = [EnrolledAgent(f"node-{number}") for number in range(writers)]
    done = threading.Event()
    faults: list[object] = []

    def guarded(work):
        def run(*args):
            try:
                work(*args)
            except BaseException as error:
                faults.append(error)
                raise
            finally:
                connection.close()

        return run

    @guarded
    def write(number):
        for batch in range(batches):
            # Backwards in time for one of them: all of it late.
            place = batches - 1 - batch if number == 2 else batch
            rows = [
                sample(place * 60 + position * 13, 1, project=f"p{number}")._replace(
                    resource=Resource(f"r{number}", "s", f"p{number}", "u", {"number": position % 2})
                )
                for position in range(per_batch)
            ]
            assert ingest(agents[number].message(rows)).result == Result.STORED

    @guarded
    def keep():
        while not done.is_set():
            keep_rollups(AFTERWARDS, seconds=0.2)

    @guarded
    def read():
        while not done.is_set():
            check_whole_batches(per_batch)

    workers = [threading.Thread(target=write, args=[number]) for number in range(writers)]
    watchers = [threading.Thread(target=work) for work in (keep, keep, read)]
    for thread in itertools.chain(workers, watchers):
        thread.start()
    for thread in workers:
        thread.join()
    done.set()
    for thread in watchers:
        thread.join()
    assert faults == []
    while RollupMark.objects.exists() or RollupDayMark.objects.exists():
        keep_rollups(AFTERWARDS)
    assert StoredSample.objects.count() == writers * batches * per_batch
    assert RollupDay.objects.aggregate(total=Sum("sample_count")) == {"total": writers * batches * per_batch}
    check_whole_batches(per_batch)


def check_whole_batches(per_batch: int) -> None:
    wanted = SampleFilter(meter="counter")
    functions = tuple(Aggregate(name) for name in ("count", "sum", "increase"))
    request = StatisticsRequest(wanted, Scope(None), groups=("project_id",), aggregates=functions)
    with localcontext() as context:
        context.prec = 100
        for row in compute(request):
            count = row.values["count"]
            assert count % per_batch == 0
            assert row.values["sum"] == count
            # All volumes are equal: no step gains anything.
            assert row.values["increase"] == 0
