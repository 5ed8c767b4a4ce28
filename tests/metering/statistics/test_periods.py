"""Which spans of time rows and rollups stand for: strides, calendars, and what a window is made of."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.statistics.buckets import CalendarBuckets, OneBucket, StrideBuckets, calendar_edges
from metering.statistics.coverage import BEGINNING, END, cover
from tests.support.samples import at

HORIZON = at("2026-01-01T00:00:00")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def local(unit, zone, low, high):
    found = calendar_edges(unit, ZoneInfo(zone), at(low), at(high))
    return [edge.replace(tzinfo=None).isoformat(timespec="minutes") for edge in found]


@pytest.mark.parametrize(
    ("unit", "zone", "low", "high", "edges"),
    [
        ("day", "UTC", "2016-01-05T10:00:00", "2016-01-06T00:00:00", ["2016-01-05T00:00", "2016-01-06T00:00"]),
        # 23 hours long, then 25.
        ("day", "Europe/Berlin", "2016-03-27T05:00:00", "2016-03-27T06:00:00", ["2016-03-26T23:00", "2016-03-27T22:00"]),
        ("day", "Europe/Berlin", "2016-10-30T05:00:00", "2016-10-30T06:00:00", ["2016-10-29T22:00", "2016-10-30T23:00"]),
        # A midnight that is skipped, and one that comes twice.
        ("day", "America/Havana", "2016-03-13T06:00:00", "2016-03-13T07:00:00", ["2016-03-13T05:00", "2016-03-14T04:00"]),
        ("day", "America/Havana", "2016-11-06T04:30:00", "2016-11-06T07:00:00", ["2016-11-06T04:00", "2016-11-07T05:00"]),
        ("day", "Africa/Cairo", "2024-04-26T00:00:00", "2024-04-26T01:00:00", ["2024-04-25T22:00", "2024-04-26T21:00"]),
        ("day", "Africa/Cairo", "2024-10-31T12:00:00", "2024-10-31T13:00:00", ["2024-10-30T21:00", "2024-10-31T22:00"]),
        # The 30th that Samoa never had.
        ("day", "Pacific/Apia", "2011-12-30T09:00:00", "2011-12-30T11:00:00",
         ["2011-12-29T10:00", "2011-12-30T10:00", "2011-12-31T10:00"]),
        ("month", "Pacific/Apia", "2011-12-31T00:00:00", "2012-01-01T00:00:00",
         ["2011-12-01T10:00", "2011-12-31T10:00", "2012-01-31T10:00"]),
        ("day", "Asia/Kathmandu", "2016-01-05T18:14:59", "2016-01-05T18:15:01",
         ["2016-01-04T18:15", "2016-01-05T18:15", "2016-01-06T18:15"]),
        ("week", "America/New_York", "2015-12-31T00:00:00", "2016-01-01T00:00:00", ["2015-12-28T05:00", "2016-01-04T05:00"]),
        ("week", "Asia/Kolkata", "2016-01-05T00:00:00", "2016-01-06T00:00:00", ["2016-01-03T18:30", "2016-01-10T18:30"]),
        ("month", "UTC", "2016-02-29T00:00:00", "2016-03-02T00:00:00", ["2016-02-01T00:00", "2016-03-01T00:00", "2016-04-01T00:00"]),
    ],
)  # fmt: skip
def test_calendar_edges_lie_where_clocks_say(unit, zone, low, high, edges):
    assert local(unit, zone, low, high) == edges


moments = st.datetimes(datetime(2015, 12, 25), datetime(2016, 4, 5), timezones=st.just(UTC))
ends = moments | moments.map(lambda moment: moment.replace(minute=0, second=0, microsecond=0))
buckets = st.one_of(
    st.just(OneBucket()),
    st.builds(StrideBuckets, st.sampled_from([1800, 3600, 5400, 86400, 90_000, 10**7]), ends),
    st.builds(
        lambda unit, zone: CalendarBuckets(
            calendar_edges(unit, ZoneInfo(zone), at("2015-12-01T00:00:00"), at("2016-05-01T00:00:00"))
        ),
        st.sampled_from(["day", "week", "month"]),
        st.sampled_from(["UTC", "Europe/Berlin", "Asia/Kolkata", "America/Havana"]),
    ),
)


@given(low=ends, high=ends, buckets=buckets)
def test_days_hours_and_samples_are_the_window_each_moment_once(low, high, buckets):
    coverage = cover((low, high), buckets, horizon=HORIZON)
    spans = sorted((*coverage.days, *coverage.hours, *coverage.samples))
    if low >= high:
        assert spans == [(low, high)]
        return
    assert (spans[0][0], spans[-1][1]) == (low, high)
    assert all(earlier[1] == later[0] for earlier, later in itertools.pairwise(spans))
    edges = buckets.edges_between(low, high, most=10**9)
    for unit, parts in ((HOUR, coverage.hours), (DAY, coverage.days)):
        for start, end in parts:
            assert start < end
            assert (start - BEGINNING) % unit == (end - BEGINNING) % unit == timedelta(0)
            assert all((edge - BEGINNING) % unit == timedelta(0) for edge in edges if start < edge < end)


def test_without_bounds_days_go_as_far_as_there_can_be_some():
    coverage = cover((BEGINNING, END), OneBucket(), horizon=HORIZON)
    assert coverage.days == ((BEGINNING, HORIZON),)
    assert (coverage.hours, coverage.samples) == ((), ((HORIZON, END),))


def test_buckets_laid_from_a_sample_are_answered_from_samples():
    coverage = cover((BEGINNING, END), StrideBuckets(3600, None), horizon=HORIZON)
    assert (coverage.days, coverage.hours) == ((), ())
    assert "begin at a sample" in str(coverage)
