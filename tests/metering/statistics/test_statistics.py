"""Statistics equal what adding up the samples by hand gives."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from decimal import Decimal, localcontext

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.collector import ingestion, posting
from metering.queries.database import Statement, fetch_all
from metering.queries.errors import QueryError, TooExpensive, TooManyRows
from metering.queries.filters import SampleFilter, Scope, TimeBound
from metering.statistics import Aggregate, StatisticsRequest, compute, engine, parse_aggregates, parse_groups
from tests.support.samples import at, make_sample, store_samples

EVERYBODY = Scope(None)
START = at("2016-01-05T10:00:00")


def ask(*, lower=None, upper=None, scope=EVERYBODY, **options):
    wanted = SampleFilter(
        meter="cpu_util",
        lower=lower,
        upper=upper,
        lower_asked=lower and lower.at,
        upper_asked=upper and upper.at,
        **options.pop("selected", {}),
    )
    return compute(StatisticsRequest(wanted, scope, **options))


def store_at(*times_and_volumes, **fields):
    store_samples([make_sample(timestamp=time, volume=volume, **fields) for time, volume in times_and_volumes])


times = st.integers(0, 6 * 3600).map(lambda seconds: START + timedelta(seconds=seconds, microseconds=seconds % 7))
volumes = st.decimals(-(10**20), 10**20, allow_nan=False, places=6) | st.integers(2**53, 2**53 + 9).map(Decimal)
samples = st.lists(
    st.tuples(
        times, volumes, st.sampled_from(["r1", "r2", "r3"]), st.sampled_from(["p1", None]), st.sampled_from(["%", "B"])
    ),
    min_size=1,
    max_size=25,
)
bounds = st.none() | st.builds(TimeBound, times, inclusive=st.booleans())


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    samples=samples,
    lower=bounds,
    upper=bounds,
    period=st.sampled_from([0, 1, 60, 600, 3600, 7 * 3600]),
    groups=st.sampled_from(
        [(), ("resource_id",), ("project_id",), ("resource_id", "project_id"), ("source", "user_id")]
    ),
)
def test_statistics_equal_adding_up_by_hand(db, samples, lower, upper, period, groups):
    with transaction.atomic():
        stored = [
            make_sample(timestamp=time, volume=volume, resource=resource, project=project, unit=unit)
            for time, volume, resource, project, unit in samples
        ]
        store_samples(stored)
        rows = ask(lower=lower, upper=upper, period_seconds=period, groups=groups)
        transaction.set_rollback(True)
    # What was remembered of rolled back rows is wrong for the next example.
    ingestion.dimensions.clear()
    posting.forget_signer()
    expected = add_up(samples, lower=lower, upper=upper, period=period, groups=groups)
    found = {(row.unit, tuple(row.groups.values()), row.period_start_at): row for row in rows}
    assert len(found) == len(rows)
    assert set(found) == set(expected)
    for key, members in expected.items():
        check_row(found[key], members, period)
    assert [row.period_start_at for row in rows if period] == sorted(row.period_start_at for row in rows if period)


def add_up(samples, *, lower, upper, period, groups):
    def inside(time):
        above = lower is None or time > lower.at or (lower.inclusive and time == lower.at)
        return above and (upper is None or time < upper.at or (upper.inclusive and time == upper.at))

    matching = [sample for sample in samples if inside(sample[0])]
    anchor = lower.at if lower else min((sample[0] for sample in matching), default=None)
    rows = defaultdict(list)
    for time, volume, resource, project, unit in matching:
        values = {"resource_id": resource, "project_id": project, "source": "openstack", "user_id": "u1"}
        bucket = anchor + (time - anchor) // timedelta(seconds=period) * timedelta(seconds=period) if period else None
        rows[unit, tuple(values[name] for name in groups), bucket].append((time, volume))
    return {(unit, group, bucket or min(members)[0]): members for (unit, group, bucket), members in rows.items()}


def check_row(row, members, period):
    amounts = [Decimal(volume) for _, volume in members]
    with localcontext() as context:
        context.prec = 100
        assert row.values["sum"] == sum(amounts)
        assert abs(row.values["avg"] * len(amounts) - sum(amounts)) <= Decimal(len(amounts)) * Decimal("1e-19")
    assert row.values["count"] == len(amounts)
    assert (row.values["min"], row.values["max"]) == (min(amounts), max(amounts))
    first_at, last_at = min(members)[0], max(time for time, _ in members)
    assert row.duration is not None
    assert (row.duration.start_at, row.duration.end_at) == (first_at, last_at)
    if period:
        assert row.period_end_at == row.period_start_at + timedelta(seconds=period)
        assert row.period_start_at <= first_at <= last_at < row.period_end_at
    else:
        assert (row.period_start_at, row.period_end_at) == (first_at, last_at)


def test_a_single_sample_with_a_period_is_a_bucket(db):
    store_at(("2016-01-05T10:00:00", 3))
    (row,) = ask(period_seconds=7200)
    assert row.values["count"] == 1
    assert row.period_end_at == at("2016-01-05T12:00:00")


def test_a_sample_on_the_last_boundary_is_counted(db):
    store_at(("2016-01-05T10:00:00", 1), ("2016-01-05T12:00:00", 2))
    assert [row.values["count"] for row in ask(period_seconds=7200)] == [1, 1]


def test_buckets_are_laid_from_the_lower_bound_even_when_it_is_exclusive(db):
    store_at(("2016-01-05T10:30:00", 1), ("2016-01-05T11:20:00", 2))
    rows = ask(period_seconds=3600, lower=TimeBound(at("2016-01-05T10:10:00"), inclusive=False))
    assert [row.period_start_at for row in rows] == [at("2016-01-05T10:10:00"), at("2016-01-05T11:10:00")]


def test_without_a_bound_all_groups_share_the_earliest_sample_as_anchor(db):
    store_at(("2016-01-05T10:05:00", 1), resource="r1")
    store_at(("2016-01-05T11:00:00", 2), resource="r2")
    rows = ask(period_seconds=3600, groups=("resource_id",))
    assert {row.period_start_at for row in rows} == {at("2016-01-05T10:05:00")}


def test_two_units_are_two_rows(db):
    store_at(("2016-01-05T10:00:00", 1), unit="%")
    store_at(("2016-01-05T10:00:00", 2), unit="ns")
    assert {row.unit: row.values["sum"] for row in ask()} == {"%": 1, "ns": 2}


def test_the_group_that_was_stored_first_stands_first(db):
    store_at(("2026-01-01T10:00:00", 1), resource="zz")
    store_at(("2016-01-05T10:00:00", 3), resource="aa")
    assert [row.groups["resource_id"] for row in ask(groups=("resource_id",))] == ["zz", "aa"]


def test_duration_is_clamped_to_the_bounds_as_asked(db):
    store_at(("2016-01-05T09:59:00", 1), ("2016-01-05T12:28:00", 2))
    wanted = SampleFilter(
        meter="cpu_util",
        lower=TimeBound(at("2016-01-05T09:10:00"), inclusive=True),
        upper=TimeBound(at("2016-01-05T13:00:00"), inclusive=True),
        lower_asked=at("2016-01-05T10:10:00"),
        upper_asked=at("2016-01-05T12:00:00"),
    )
    (row,) = compute(StatisticsRequest(wanted, EVERYBODY))
    assert (row.duration.start_at, row.duration.end_at) == (at("2016-01-05T10:10:00"), at("2016-01-05T12:00:00"))
    assert row.duration.seconds == 6600
    assert row.values["count"] == 2


def test_duration_is_null_when_all_samples_lie_outside_the_bounds_as_asked(db):
    store_at(("2016-01-05T09:30:00", 1))
    wanted = SampleFilter(
        meter="cpu_util", lower_asked=at("2016-01-05T10:00:00"), upper_asked=at("2016-01-05T12:00:00")
    )
    (row,) = compute(StatisticsRequest(wanted, EVERYBODY))
    assert row.duration is None


def test_sums_are_exact_where_floats_are_not(db):
    store_at(("2016-01-05T10:00:00", "0.1"), ("2016-01-05T10:01:00", "0.2"), ("2016-01-05T10:02:00", 9007199254740993))
    (row,) = ask()
    assert row.values["sum"] == Decimal("9007199254740993.3")


def test_standard_deviation_is_of_the_population(db):
    store_at(*((f"2016-01-05T10:0{n}:00", n) for n in (2, 4, 6, 8)))
    (row,) = ask(aggregates=(Aggregate("stddev"),))
    assert float(row.values["stddev"]) == pytest.approx(2.23606797749979, abs=1e-14)


def test_cardinality_counts_distinct_owners(db):
    for resource in ("r1", "r2", "r3", "r1"):
        store_at(("2016-01-05T10:00:00", 1), resource=resource)
    (row,) = ask(aggregates=(Aggregate("cardinality", "resource_id"), Aggregate("cardinality", "project_id")))
    assert row.values == {"cardinality/resource_id": 3, "cardinality/project_id": 1}


def test_other_projects_are_left_out(db):
    store_at(("2016-01-05T10:00:00", 1), project="p1")
    store_at(("2016-01-05T10:00:00", 2), project="p2")
    store_at(("2016-01-05T10:00:00", 4), project=None)
    (row,) = ask(scope=Scope(("p1",)))
    assert row.values["sum"] == 1


def test_a_question_is_one_statement(db):
    """Beside it only the meters of the name are looked up, before and after."""
    store_at(("2016-01-05T10:00:00", 1))
    with CaptureQueriesContext(connection) as queries:
        ask(period_seconds=60, groups=("project_id",))
    assert ["metering_sample" in query["sql"] for query in queries] == [False, True, False]


def test_a_meter_that_appears_while_a_question_is_answered_is_in_the_answer(db, monkeypatch):
    store_at(("2016-01-05T10:00:00", 1))
    fetch = engine.fetch_all

    def fetch_late(statement, **options):
        rows = fetch(statement, **options)
        monkeypatch.setattr(engine, "fetch_all", fetch)
        store_at(("2016-01-05T10:00:00", 2), unit="B")
        return rows

    monkeypatch.setattr(engine, "fetch_all", fetch_late)
    assert {row.unit: row.values["sum"] for row in ask()} == {"%": 1, "B": 2}
    assert {row.unit: row.values["sum"] for row in ask(groups=("resource_id",))} == {"%": 1, "B": 2}


def test_meters_of_one_unit_make_one_row(db):
    store_at(("2016-01-05T10:00:00", 1))
    store_at(("2016-01-05T10:00:00", 2), type="delta")
    (row,) = ask()
    assert row.values["sum"] == 3


def test_more_rows_than_allowed_are_refused_by_name(db, settings):
    settings.CELOMETER_STATISTICS_MAX_ROWS = 2
    store_at(*((f"2016-01-05T10:0{n}:00", n) for n in range(3)))
    with pytest.raises(TooManyRows, match=r"Period 60 .* more than 2 rows"):
        ask(period_seconds=60)
    assert len(ask(period_seconds=120)) == 2


def test_a_period_of_many_empty_buckets_costs_nothing(db):
    store_at(("2016-01-05T10:00:00", 1), ("2026-01-01T10:00:00", 2))
    assert len(ask(period_seconds=1)) == 2


def test_a_question_that_takes_too_long_is_stopped(db, settings):
    settings.CELOMETER_QUERY_TIMEOUT_SECONDS = 0.05
    with pytest.raises(TooExpensive, match=r"0\.05 s"), transaction.atomic():
        fetch_all(Statement("SELECT pg_sleep(5)"))


@pytest.mark.parametrize(
    ("functions", "parameters", "text"),
    [
        (["mmm"], [], "Invalid aggregation function: mmm"),
        (["max", "mmm"], [], "Invalid aggregation function: mmm"),
        (["cardinality"], [], "Bad aggregate: cardinality.None"),
        (["max", "cardinality"], ["resource_id"], "Bad aggregate: cardinality.None"),
        (["cardinality"], ["meter"], "Bad aggregate: cardinality.meter"),
        (["max"], ["resource_id"], "Bad aggregate: max.resource_id"),
        (["max"], ["", "resource_id"], "aggregate.param was given 2 times for 1 functions"),
    ],
)
def test_bad_aggregates_are_refused(functions, parameters, text):
    with pytest.raises(QueryError) as caught:
        parse_aggregates(functions, parameters)
    assert caught.value.text == text


def test_repeated_aggregates_count_once():
    assert parse_aggregates(["max", "max", "min"], []) == (Aggregate("max"), Aggregate("min"))


def test_unknown_groups_are_named():
    with pytest.raises(QueryError) as caught:
        parse_groups(["resource_id", "house_id"])
    assert caught.value.text == "Unknown argument: \"{'house_id'}\": Invalid groupby fields"
