"""When windows open and close, to the second and over changes of the clock."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alarms.rules.time_constraints import is_open
from tests.support.samples import at


def constraint(start="0 11 * * *", duration=300, timezone=""):
    return {"name": "window", "start": start, "duration": duration, "timezone": timezone, "description": ""}


@pytest.mark.parametrize(
    ("now", "fields", "expected"),
    [
        ("2026-07-15T10:59:00", {}, False),
        ("2026-07-15T10:59:01", {}, True),
        ("2026-07-15T11:00:00", {}, True),
        ("2026-07-15T11:05:00", {}, True),
        ("2026-07-15T11:05:00.000001", {}, False),
        ("2026-07-15T11:05:01", {}, False),
        ("2026-07-15T11:00:00", {"duration": 0}, True),
        ("2026-07-15T11:00:59", {"duration": 0}, False),
        ("2026-07-15T09:02:00", {"timezone": "Europe/Ljubljana"}, True),
        ("2026-07-15T10:02:00", {"timezone": "Europe/Ljubljana"}, False),
        ("2026-01-15T10:02:00", {"timezone": "Europe/Ljubljana"}, True),
        ("2026-07-16T02:00:00", {"start": "0 23 * * *", "duration": 10800}, True),
        ("2026-07-16T02:00:01", {"start": "0 23 * * *", "duration": 10800}, False),
        ("2026-07-15T00:04:00", {"start": "@daily"}, True),
        ("2026-07-15T11:00:32", {"start": "0 11 * * * 30", "duration": 2}, True),
        ("2026-07-15T11:00:33", {"start": "0 11 * * * 30", "duration": 2}, False),
    ],
)
def test_the_table_of_windows(now, fields, expected):
    assert is_open([constraint(**fields)], at(now)) is expected


def test_without_constraints_it_is_always_open_and_with_many_one_is_enough():
    now = at("2026-07-15T12:00:00")
    assert is_open([], now)
    assert not is_open([constraint(), constraint("0 13 * * *")], now)
    assert is_open([constraint(), constraint("0 12 * * *")], now)


def test_a_start_that_never_comes_opens_nothing():
    assert not is_open([constraint("0 0 30 2 *", duration=86400)], at("2026-07-15T12:00:00"))


def test_a_window_lasts_as_long_as_it_says_over_a_change_of_the_clock():
    # On that night in Berlin 2:00 became 3:00: four hours from 23:00 end at 04:00 summer time, which is 02:00 UTC.
    night = [constraint("0 23 * * *", duration=4 * 3600, timezone="Europe/Berlin")]
    assert is_open(night, at("2026-03-29T02:00:00"))
    assert not is_open(night, at("2026-03-29T02:00:01"))


@pytest.mark.parametrize("hour", range(24))
def test_of_a_window_of_a_day_every_moment_is_inside(hour):
    always = [constraint("30 7 * * *", duration=25 * 3600, timezone="America/New_York")]
    # Also on both days on which clocks change.
    for day in ("2026-03-08", "2026-11-01", "2026-06-01"):
        assert is_open(always, at(f"{day}T00:00:00") + timedelta(hours=hour, minutes=17))
