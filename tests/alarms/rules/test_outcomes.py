"""Values → state: the table of worked evaluations, and what holds for all of them."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.rules.alarm_types import Situation, find_type
from alarms.rules.decision import ALARM, INSUFFICIENT, OK, STATES
from alarms.rules.outcomes import COMPARISONS
from alarms.rules.windows import Bucket, window_of
from tests.alarms.making import threshold_rule
from tests.support.samples import at

NOON = at("2016-01-05T12:00:00")
RULE = threshold_rule(evaluation_periods=3)


def buckets(values, counts=None, period=60):
    """Neighbouring buckets, the last one ending at noon."""
    counts = counts or [1] * len(values)
    first = NOON - len(values) * timedelta(seconds=period)
    return [
        Bucket(first + n * timedelta(seconds=period), Decimal(str(value)), count)
        for n, (value, count) in enumerate(zip(values, counts, strict=True))
    ]


def decide(values, state, *, rule=RULE, repeats=False, memory=None, now=NOON, counts=None):
    situation = Situation(rule, state, memory or {}, repeats, now)
    return find_type("threshold").decide(situation, [buckets(values, counts)])


@pytest.mark.parametrize(
    ("state", "values", "repeats", "following", "fires", "count", "side"),
    [
        (INSUFFICIENT, [91, 92, 93], False, ALARM, True, 3, "outside"),
        (INSUFFICIENT, [10, 20, 95], False, ALARM, True, 1, "outside"),
        (INSUFFICIENT, [95, 96, 12], False, OK, True, 1, "inside"),
        (INSUFFICIENT, [95, 12], False, INSUFFICIENT, False, 3, "unknown"),
        # Aodh told this as "0 samples outside": what is unknown is called so here.
        (INSUFFICIENT, [95, 12], True, INSUFFICIENT, True, 3, "unknown"),
        (OK, [80, 80, 80], False, OK, False, 3, "inside"),
        (OK, [91, 92, 93], False, ALARM, True, 3, "outside"),
        (OK, [10, 20, 95], False, OK, False, 2, "inside"),
        (OK, [10, 20, 95], True, OK, True, 2, "inside"),
        (OK, [95, 12], False, INSUFFICIENT, True, 3, "unknown"),
        (OK, [95, 12], True, INSUFFICIENT, True, 3, "unknown"),
        (ALARM, [], False, INSUFFICIENT, True, 3, "unknown"),
        (ALARM, [], True, INSUFFICIENT, True, 3, "unknown"),
        (ALARM, [95, 96, 12], False, ALARM, False, 2, "outside"),
        (ALARM, [95, 96, 12], True, ALARM, True, 2, "outside"),
        (ALARM, [80, 80, 80], False, OK, True, 3, "inside"),
        (ALARM, [95, 96, 12, 10, 99], False, ALARM, False, 1, "outside"),
    ],
)
def test_the_table_of_transitions(state, values, repeats, following, fires, count, side):
    decision = decide(values, state, repeats=repeats)
    assert (decision.state, decision.fires) == (following, fires)
    newest = values[-1] if values else None
    assert decision.reason_data == {"type": "threshold", "disposition": side, "count": count, "most_recent": newest}
    if following == INSUFFICIENT:
        assert decision.reason == "3 datapoints are unknown"
    else:
        begun = "Remaining as" if following == state else "Transition to"
        assert decision.reason == f"{begun} {following} due to {count} samples {side} threshold, most recent: {newest}"


@pytest.mark.parametrize(
    ("comparison", "outside"),
    [("lt", [79]), ("le", [79, 80]), ("eq", [80]), ("ne", [79, 81]), ("ge", [80, 81]), ("gt", [81])],
)
def test_a_value_is_compared_with_the_threshold_and_not_the_other_way_round(comparison, outside):
    for value in (79, 80, 81):
        rule = threshold_rule(comparison_operator=comparison)
        assert decide([value], OK, rule=rule).state == (ALARM if value in outside else OK)


def test_numbers_are_compared_as_they_are_written():
    rule = threshold_rule(comparison_operator="eq", threshold=0.3)
    assert decide(["0.3"], OK, rule=rule).state == ALARM
    assert decide(["0.30000000000000000001"], OK, rule=rule).state == OK
    huge = 2**60 + 1
    assert decide([huge], OK, rule=threshold_rule(comparison_operator="eq", threshold=huge)).state == ALARM
    assert decide([huge - 1], OK, rule=threshold_rule(comparison_operator="eq", threshold=huge)).state == OK


values = st.lists(st.integers(0, 100), max_size=8)
rules = st.builds(
    lambda needed, comparison: threshold_rule(evaluation_periods=needed, comparison_operator=comparison, threshold=50),
    st.integers(1, 4),
    st.sampled_from(sorted(COMPARISONS)),
)


@given(rule=rules, found=values, state=st.sampled_from(STATES), repeats=st.booleans())
def test_only_the_last_values_count_and_known_states_move_on_all_of_them_alone(rule, found, state, repeats):
    needed = rule["evaluation_periods"]
    decision = decide(found, state, rule=rule, repeats=repeats)
    assert decision == decide(found[-needed:], state, rule=rule, repeats=repeats)
    kept = found[-needed:]
    outside = [COMPARISONS[rule["comparison_operator"]](value, 50) for value in kept]
    if len(kept) < needed:
        assert decision.state == INSUFFICIENT
    elif all(outside):
        assert decision.state == ALARM
    elif not any(outside):
        assert decision.state == OK
    else:
        assert decision.state == (state if state != INSUFFICIENT else ALARM if outside[-1] else OK)
    assert decision.fires == (repeats or decision.state != state)


@given(rule=rules, found=values, state=st.sampled_from(STATES))
def test_a_decision_about_the_same_values_again_changes_nothing(rule, found, state):
    first = decide(found, state, rule=rule)
    again = decide(found, first.state, rule=rule, memory=first.memory)
    assert (again.state, again.fires) == (first.state, False)


# --- Recovery threshold --------------------------------------------------------------------------------------------

HYSTERESIS = threshold_rule(evaluation_periods=3, recovery_threshold=70)


@pytest.mark.parametrize(
    ("state", "found", "following"),
    [
        (OK, [75, 75, 75], OK),
        (OK, [81, 82, 83], ALARM),
        (ALARM, [75, 75, 75], ALARM),
        (ALARM, [75, 60, 60], ALARM),
        (ALARM, [60, 60, 75], ALARM),
        (ALARM, [70, 60, 60], OK),
        (ALARM, [60, 60], INSUFFICIENT),
        (INSUFFICIENT, [75, 75, 75], OK),
    ],
)
def test_an_alarm_is_over_when_all_values_pass_the_recovery_threshold(state, found, following):
    assert decide(found, state, rule=HYSTERESIS).state == following


@given(found=values, state=st.sampled_from(STATES))
def test_a_recovery_threshold_that_is_the_threshold_changes_nothing(found, state):
    same = HYSTERESIS | {"recovery_threshold": 80}
    assert decide(found, state, rule=same) == decide(found, state, rule=RULE)


@given(found=values, recovery=st.integers(0, 80))
def test_a_recovery_threshold_only_ever_holds_an_alarm(found, recovery):
    rule = HYSTERESIS | {"recovery_threshold": recovery}
    for state in (OK, INSUFFICIENT):
        assert decide(found, state, rule=rule) == decide(found, state, rule=RULE)
    if decide(found, ALARM, rule=rule).state == OK:
        assert decide(found, ALARM, rule=RULE).state == OK


# --- Pending -------------------------------------------------------------------------------------------------------


def play(steps, *, rule, state=OK):
    """States and whether they fired, one evaluation a minute."""
    seen, memory = [], {}
    for minute, found in enumerate(steps):
        decision = decide(found, state, rule=rule, memory=memory, now=NOON + timedelta(minutes=minute))
        state, memory = decision.state, decision.memory
        seen.append((state, decision.fires))
    return seen


def test_a_breach_has_to_last_before_it_is_an_alarm():
    rule = threshold_rule(pending_seconds=120)
    assert play([[90], [90], [90], [90]], rule=rule) == [(OK, False), (OK, False), (ALARM, True), (ALARM, False)]


@pytest.mark.parametrize(("between", "state"), [([10], OK), ([], INSUFFICIENT)])
def test_a_breach_that_ends_begins_anew(between, state):
    rule = threshold_rule(pending_seconds=120)
    seen = play([[90], [90], between, [90], [90], [90]], rule=rule)
    assert [one for one, _ in seen] == [OK, OK, state, state, state, ALARM]


def test_an_alarm_ends_at_once_whatever_it_waited_for():
    assert play([[90], [10]], rule=threshold_rule(pending_seconds=120), state=ALARM) == [(ALARM, False), (OK, True)]


# --- Outliers ------------------------------------------------------------------------------------------------------

OUTLIERS = threshold_rule(evaluation_periods=3, exclude_outliers=True)


@pytest.mark.parametrize(
    ("counts", "dropped"),
    [
        ([10, 10, 10, 10, 10, 1], [5]),
        ([10, 10, 10, 10, 1], []),
        ([10, 10, 10, 10, 10, 40], [5]),
        ([10, 10, 10, 10, 1, 1], []),
        ([7], []),
        ([], []),
    ],
)
def test_buckets_with_odd_counts_are_dropped(counts, dropped):
    from alarms.rules.outliers import drop_outliers

    found = buckets(range(len(counts)), counts)
    assert drop_outliers(found) == [bucket for n, bucket in enumerate(found) if n not in dropped]


def test_outliers_are_not_compared_where_the_rule_says_so():
    found, counts = [85, 86, 84, 88, 90, 12], [10, 10, 10, 10, 10, 1]
    assert decide(found, OK, rule=OUTLIERS, counts=counts).state == ALARM
    assert decide(found[-4:], OK, rule=RULE, counts=counts[-4:]).state == OK


@given(counts=st.lists(st.integers(1, 50), max_size=5))
def test_of_five_buckets_none_can_be_odd(counts):
    from alarms.rules.outliers import drop_outliers

    found = buckets(range(len(counts)), counts)
    assert drop_outliers(found) == found


# --- Windows -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("period", "needed", "excludes", "seconds", "count"),
    [(60, 1, False, 120, 2), (300, 3, False, 1200, 4), (60, 4, True, 480, 8), (60, 3, False, 240, 4)],
)
def test_windows_have_a_period_to_spare_or_as_many_as_are_needed(period, needed, excludes, seconds, count):
    window = window_of(threshold_rule(period=period, evaluation_periods=needed, exclude_outliers=excludes), NOON)
    assert (window.end_at, window.end_at - window.start_at) == (NOON, timedelta(seconds=seconds))
    assert window.bucket_count == count
