"""Composite rules: the worked table, with the memory that upstream lacks."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.rules.alarm_types import Situation, find_type
from alarms.rules.decision import ALARM, INSUFFICIENT, OK, STATES, Decision
from alarms.rules.trees import composition_form, decide_tree, leaves_of
from alarms.rules.windows import Bucket
from tests.alarms.making import threshold_rule
from tests.alarms.rules.test_outcomes import NOON, buckets

HI, LO, UP, DN, NO = [91, 92, 93], [1, 2, 3], [1, 2, 95], [95, 96, 2], [1]
LEAF = threshold_rule(evaluation_periods=3, type="threshold")


def decide(tree, state, *series, sides=None, repeats=False):
    """``sides``: in which state each leaf was left."""
    memory = {"leaves": [{"state": side} for side in sides]} if sides else {}
    situation = Situation(tree, state, memory, repeats, NOON)
    return find_type("composite").decide(situation, [buckets(values) for values in series])


@pytest.mark.parametrize(
    ("operator", "a", "b", "following"),
    [
        ("and", HI, UP, ALARM),
        ("and", LO, NO, OK),
        ("and", NO, DN, OK),
        ("or", DN, NO, INSUFFICIENT),
        ("or", UP, NO, ALARM),
    ],
)
def test_of_an_alarm_that_knows_nothing_the_newest_values_lead(operator, a, b, following):
    assert decide({operator: [LEAF, LEAF]}, INSUFFICIENT, a, b).state == following


@pytest.mark.parametrize(
    ("operator", "state", "a", "b", "sides", "following"),
    [
        ("and", OK, HI, UP, (OK, OK), OK),
        # Upstream: alarm, though b is falling.
        ("and", OK, HI, DN, (ALARM, OK), OK),
        # It may be one where b has been outside all the time, and a has come to it.
        ("and", OK, HI, DN, (OK, ALARM), ALARM),
        # Upstream: ok, though both are rising.
        ("and", ALARM, UP, UP, (ALARM, ALARM), ALARM),
        ("and", ALARM, HI, NO, (ALARM, ALARM), INSUFFICIENT),
        ("or", OK, LO, UP, (OK, OK), OK),
        # Upstream: alarm, though b is falling.
        ("or", OK, LO, DN, (OK, OK), OK),
        ("or", OK, LO, NO, (OK, OK), INSUFFICIENT),
        # Upstream: ok, though a is what was outside.
        ("or", ALARM, UP, LO, (ALARM, OK), ALARM),
        ("or", ALARM, HI, NO, (ALARM, OK), ALARM),
    ],
)
def test_a_leaf_of_mixed_values_keeps_its_own_side(operator, state, a, b, sides, following):
    assert decide({operator: [LEAF, LEAF]}, state, a, b, sides=sides).state == following


NESTED = {"or": [LEAF, {"and": [LEAF, LEAF]}]}


@pytest.mark.parametrize(
    ("state", "series", "following", "causes"),
    [
        (OK, (LO, HI, HI), ALARM, ["rule2", "rule3"]),
        (ALARM, (LO, HI, NO), INSUFFICIENT, ["rule3"]),
        (ALARM, (LO, LO, NO), OK, ["rule1", "rule2"]),
    ],
)
def test_a_nested_rule_names_what_caused_it(state, series, following, causes):
    decision = decide(NESTED, state, *series)
    assert decision.state == following
    form = "(rule1 or (rule2 and rule3))"
    side = {
        ALARM: "outside their threshold.",
        OK: "inside their threshold.",
        INSUFFICIENT: "state evaluated to unknown.",
    }[following]
    assert decision.reason == (
        f"Composite rule alarm with composition form: {form} transition to {following}, due to rules: {', '.join(causes)} {side}"
    )
    assert decision.reason_data == {
        "type": "composite",
        "composition_form": form,
        "causative_rules": dict.fromkeys(causes, LEAF),
    }


def test_ok_and_alarm_are_repeated_and_insufficient_data_is_not():
    tree = {"or": [LEAF, LEAF]}
    alarm = decide(tree, ALARM, HI, HI, repeats=True)
    assert alarm.fires and " remaining as alarm, " in alarm.reason
    assert decide(tree, OK, LO, LO, repeats=True).fires
    assert not decide(tree, INSUFFICIENT, NO, NO, repeats=True).fires
    assert not decide(tree, ALARM, HI, HI).fires


def test_a_single_leaf_is_a_rule():
    decision = decide(LEAF, OK, HI)
    assert (decision.state, decision.reason_data["composition_form"]) == (ALARM, "rule1")


def test_leaves_have_thresholds_to_recover_at_and_times_to_wait_for_of_their_own():
    held = {"and": [LEAF | {"recovery_threshold": 50}, LEAF]}
    assert decide(held, ALARM, [60, 60, 60], HI, sides=(ALARM, ALARM)).state == ALARM
    waiting = {"or": [LEAF | {"pending_seconds": 60}, LEAF]}
    decision = decide(waiting, OK, HI, LO, sides=(OK, OK))
    assert decision.state == OK
    assert decision.memory["leaves"][0] == {"state": OK, "pending_since": NOON.isoformat()}


trees = st.recursive(
    st.just({"type": "threshold"}),
    lambda nodes: st.builds(
        lambda operator, children: {operator: children},
        st.sampled_from(["and", "or"]),
        st.lists(nodes, min_size=1, max_size=3),
    ),
    max_leaves=6,
)


@given(tree=trees, data=st.data())
def test_what_is_unknown_decides_only_where_it_could_change_the_answer(tree, data):
    count = len(list(leaves_of(tree)))
    states = data.draw(st.lists(st.sampled_from(STATES), min_size=count, max_size=count))

    def state_of(sides):
        return decide_tree(tree, [Decision(side, "", {}, False) for side in sides], OK, repeats=False).state

    unknown = [n for n, side in enumerate(states) if side == INSUFFICIENT]
    outcomes = set()
    for number in range(2 ** len(unknown)):
        filled = list(states)
        for bit, place in enumerate(unknown):
            filled[place] = ALARM if number >> bit & 1 else OK
        outcomes.add(state_of(filled))
    assert state_of(states) == (outcomes.pop() if len(outcomes) == 1 else INSUFFICIENT)


@given(tree=trees)
def test_every_leaf_has_a_name_in_the_form(tree):
    form = composition_form(tree)
    count = len(list(leaves_of(tree)))
    words = form.replace("(", " ").replace(")", " ").split()
    assert [word for word in words if word not in {"and", "or"}] == [f"rule{n}" for n in range(1, count + 1)]


def test_anomalies_may_be_leaves():
    leaf = threshold_rule(type="anomaly", weeks=2, deviations=3)
    now = buckets([99])
    past = [[Bucket(one.start_at, Decimal(10), 1) for one in buckets([10], period=60)] for _ in range(2)]
    week = now[0].start_at - past[0][0].start_at
    assert week.total_seconds() == 0
    from alarms.rules.anomalies import WEEK

    shifted = [[one._replace(start_at=one.start_at - n * WEEK) for one in found] for n, found in enumerate(past, 1)]
    situation = Situation({"or": [leaf]}, OK, {}, False, NOON)
    assert find_type("composite").decide(situation, [now, *shifted]).state == ALARM
