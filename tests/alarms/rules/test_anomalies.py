"""What is usual is what the same time of past weeks was."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.rules.anomalies import WEEK, anomaly_windows, judge_anomaly
from alarms.rules.outcomes import Verdict
from alarms.rules.windows import Bucket
from tests.alarms.making import threshold_rule
from tests.alarms.rules.test_outcomes import NOON

RULE = threshold_rule(period=3600, weeks=4, deviations=2)


def judge(value, past, **changes):
    """One bucket, and the same one of each past week; None where a week has no samples."""
    start = NOON - timedelta(hours=1)
    series = [[Bucket(start, Decimal(str(value)), 1)]]
    series += [
        [] if one is None else [Bucket(start - week * WEEK, Decimal(str(one)), 1)] for week, one in enumerate(past, 1)
    ]
    return judge_anomaly(RULE | changes, series).verdict


@pytest.mark.parametrize(
    ("value", "verdict"),
    # The mean is 12, the deviation 2.
    [(16, Verdict.NONE), ("16.0001", Verdict.ALL), (8, Verdict.NONE), ("7.9999", Verdict.ALL), (12, Verdict.NONE)],
)
def test_a_value_beyond_so_many_deviations_is_outside(value, verdict):
    assert judge(value, [10, 14, 10, 14]) is verdict


def test_where_the_past_never_changed_any_other_value_is_outside():
    assert judge(5, [5, 5, 5, 5]) is Verdict.NONE
    assert judge("5.000001", [5, 5, 5, 5]) is Verdict.ALL


@pytest.mark.parametrize("past", [[None] * 4, [10, None, None, None]])
def test_without_a_past_nothing_is_known(past):
    assert judge(10, past) is Verdict.UNKNOWN


def test_the_windows_lie_whole_weeks_apart():
    windows = anomaly_windows(RULE, NOON)
    assert [window.end_at for window in windows] == [NOON - n * WEEK for n in range(5)]
    assert {window.bucket_count for window in windows} == {2}


@given(
    value=st.integers(-100, 100),
    past=st.lists(st.integers(-100, 100), min_size=2, max_size=4),
    factor=st.integers(1, 9),
    shift=st.integers(-50, 50),
)
def test_units_and_offsets_change_nothing(value, past, factor, shift):
    def moved(number):
        return Decimal(number * factor + shift) / 8

    assert judge(value, past) is judge(moved(value), [moved(one) for one in past])
