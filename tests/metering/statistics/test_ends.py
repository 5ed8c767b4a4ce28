"""Windows and volumes at their ends: nothing, a microsecond, all of the calendar, the largest and the smallest numbers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal, localcontext

import pytest

from metering.queries.filters import SampleFilter, Scope, TimeBound
from metering.statistics import Aggregate, StatisticsRequest, compute, parse_period
from tests.support.samples import at, make_sample, store_samples

NOON = at("2016-01-05T12:00:00")
MICROSECOND = timedelta(microseconds=1)
FUNCTIONS = ("count", "sum", "avg", "stddev", "first", "last", "increase", "rate", "integral")
ALL = (*(Aggregate(name) for name in FUNCTIONS), Aggregate("integral", "second"))


def ask(low=None, high=None, *, period="0", zone=None, functions=ALL, inclusive=(True, False), **selected):
    lower = low and TimeBound(low, inclusive[0])
    upper = high and TimeBound(high, inclusive[1])
    asked = parse_period(period, zone)
    is_seconds = isinstance(asked, int)
    return compute(
        StatisticsRequest(
            SampleFilter(meter="cpu_util", lower=lower, upper=upper, lower_asked=low, upper_asked=high, **selected),
            Scope(None),
            period_seconds=asked if is_seconds else 0,
            calendar=None if is_seconds else asked,
            aggregates=functions,
        )
    )


def store_every(step, *volumes, start=NOON, **fields):
    store_samples([make_sample(timestamp=start + n * step, volume=v, **fields) for n, v in enumerate(volumes)])


@pytest.mark.parametrize("period", ["0", "7", "86399", "day", "week", "month"])
def test_an_empty_window_has_no_rows(db, period):
    store_every(timedelta(minutes=1), 1, 2, 3)
    moment = NOON + timedelta(minutes=1)
    assert ask(moment, moment, period=period) == []
    assert ask(moment + MICROSECOND, moment, period=period) == []
    assert ask(moment, moment, period=period, inclusive=(False, False)) == []
    assert ask(moment, moment, period=period, inclusive=(False, True)) == []


@pytest.mark.parametrize("period", ["0", "7", "day"])
def test_a_window_of_one_moment_with_both_ends_is_one_sample(db, period):
    store_every(timedelta(minutes=1), 1, 2, 4)
    moment = NOON + timedelta(minutes=1)
    (row,) = ask(moment, moment, period=period, inclusive=(True, True))
    assert (row.values["count"], row.values["sum"], row.values["increase"]) == (1, 2, 1)
    # The value is held for the one microsecond that the window lasts.
    assert row.values["integral/second"] == Decimal("0.000002")


def test_bounds_cut_between_microseconds(db):
    store_every(MICROSECOND, 1, 10, 100)
    assert [row.values["sum"] for row in ask(NOON + MICROSECOND, NOON + 2 * MICROSECOND)] == [10]
    assert [row.values["sum"] for row in ask(NOON, NOON + 2 * MICROSECOND, inclusive=(False, True))] == [110]


@pytest.mark.parametrize("period", ["0", "3600", "day", "week", "month"])
@pytest.mark.parametrize(
    "low", ["0001-01-01T00:00:00", "0001-01-02T00:00:00", "9999-12-30T00:00:00", "9999-12-31T23:59:59"]
)
def test_the_ends_of_the_calendar_are_answered(db, low, period):
    store_every(timedelta(minutes=1), 1, 2)
    for inclusive in ((True, True), (False, False)):
        for zone in (None, "Pacific/Apia") if period.isalpha() else (None,):
            rows = ask(at(low), at("9999-12-31T23:59:59"), period=period, zone=zone, inclusive=inclusive)
            assert sum(row.values["count"] for row in rows) == (2 if low.startswith("0001") else 0)


def test_a_month_is_the_sum_of_its_days_where_days_have_23_and_25_hours(db):
    low, high = at("2016-01-01T00:00:00"), at("2017-01-01T00:00:00")
    store_every(timedelta(hours=11, minutes=7), *(n * 7919 % 1000 for n in range(120)), start=at("2016-03-01T00:00:00"))
    months = ask(low, high, period="month", zone="Europe/Berlin")
    days = ask(low, high, period="day", zone="Europe/Berlin")
    assert len(months) == 2
    assert {(row.period_end_at - row.period_start_at) / timedelta(hours=1) for row in days} == {23, 24}
    for month in months:
        within = [row for row in days if month.period_start_at <= row.period_start_at < month.period_end_at]
        for name in ("count", "sum", "increase"):
            assert sum(row.values[name] or 0 for row in within) == month.values[name]


def test_numbers_of_many_digits_and_of_very_few_are_exact(db):
    huge, tiny, small = Decimal("9" * 64), Decimal("0." + "0" * 30 + "1"), Decimal(f"-{'9' * 24}.{'9' * 38}")
    store_every(timedelta(minutes=1), huge, tiny, small)
    (row,) = ask()
    with localcontext() as context:
        context.prec = 300
        assert row.values["sum"] == huge + tiny + small
        # Two resets: each counts what the counter shows after it.
        assert row.values["increase"] == tiny + small
        assert row.values["first"] == huge and row.values["last"] == small


def test_tiny_numbers_have_an_average_and_a_deviation(db):
    store_every(timedelta(minutes=1), *(Decimal(n).scaleb(-30) for n in (2, 4, 6, 9)))
    (row,) = ask()
    assert row.values["avg"] == Decimal("5.25e-30")
    assert float(row.values["stddev"]) == pytest.approx(2.5860201081971503e-30, rel=1e-14)


def test_a_deviation_beside_large_numbers_keeps_its_digits(db):
    store_every(timedelta(minutes=1), *(10**30 + n for n in (2, 4, 6, 8)))
    (row,) = ask()
    assert float(row.values["stddev"]) == pytest.approx(2.23606797749979, abs=1e-14)


@pytest.mark.parametrize("share", range(101))
def test_a_percentile_is_the_smallest_volume_that_so_many_do_not_exceed(db, share):
    store_every(timedelta(seconds=1), *range(100, 0, -1))
    (row,) = ask(functions=(Aggregate("percentile", str(share)),))
    assert row.values == {f"percentile/{share}": max(share, 1)}


@pytest.mark.parametrize(
    ("share", "place"), [("0", 1), ("14", 1), ("15", 2), ("50", 4), ("85.7", 6), ("85.71428571428572", 7), ("99", 7)]
)
def test_a_percentile_of_few_samples_is_one_of_them(db, share, place):
    store_every(timedelta(seconds=1), *range(7, 0, -1))
    (row,) = ask(functions=(Aggregate("percentile", share),))
    assert row.values == {f"percentile/{share}": place}


def test_of_samples_of_one_moment_the_first_stored_is_first_and_the_last_stored_is_last(db):
    for volume in (5, 9, 7):
        store_every(timedelta(0), volume)
    (row,) = ask()
    assert (row.values["first"], row.values["last"], row.values["increase"]) == (5, 7, 4 + 7)


def test_cardinality_of_a_metadata_key_counts_values_and_not_their_lack(db):
    for n, metadata in enumerate(({"a": {"b": 1}}, {"a.b": 1}, {"a": {"b": "1"}}, {"a": {"b": [1]}}, {"a": 3}, {})):
        store_every(timedelta(minutes=n), n, metadata=metadata)
    (row,) = ask(functions=(Aggregate("cardinality", "resource_metadata.a.b"),))
    assert row.values == {"cardinality/resource_metadata.a.b": 2}


def test_a_value_is_held_into_a_window_for_an_hour_and_no_microsecond_longer(db):
    store_every(timedelta(minutes=1), 4)
    held = (Aggregate("integral", "second"),)
    late = NOON + timedelta(hours=1) - MICROSECOND
    (row,) = ask(late, late + timedelta(hours=5), functions=held)
    assert row.values == {"integral/second": Decimal("0.000004")}
    assert ask(late + MICROSECOND, late + timedelta(hours=5), functions=held) == []


def test_an_increase_looks_back_however_far_the_sample_before_lies(db):
    store_every(timedelta(days=20), 3, 10)
    assert [row.values["increase"] for row in ask(NOON + timedelta(days=1), functions=(Aggregate("increase"),))] == [7]
