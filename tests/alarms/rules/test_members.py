"""Combinations of alarms, as Aodh decided them."""

from __future__ import annotations

from itertools import product

import pytest

from alarms.rules.decision import ALARM, INSUFFICIENT, OK, STATES
from alarms.rules.members import decide_combination


def decide(operator, *members, state=OK, repeats=False):
    """None stands for a member that there is no more."""
    names = [f"m{n}" for n, _ in enumerate(members)]
    states = {name: member for name, member in zip(names, members, strict=True) if member is not None}
    return decide_combination({"operator": operator, "alarm_ids": names}, states, state, repeats=repeats)


@pytest.mark.parametrize(
    ("operator", "members", "following", "named"),
    [
        ("or", (ALARM, INSUFFICIENT), ALARM, ["m0"]),
        ("or", (OK, INSUFFICIENT), INSUFFICIENT, ["m1"]),
        ("and", (OK, INSUFFICIENT), INSUFFICIENT, ["m1"]),
        ("and", (ALARM, None), INSUFFICIENT, ["m1"]),
        ("and", (ALARM, OK), OK, ["m1"]),
        ("and", (ALARM, ALARM), ALARM, ["m0", "m1"]),
        ("or", (OK, OK), OK, ["m0", "m1"]),
    ],
)
def test_the_table_of_combinations(operator, members, following, named):
    decision = decide(operator, *members, state=INSUFFICIENT if following != INSUFFICIENT else OK)
    assert (decision.state, decision.fires) == (following, True)
    assert decision.reason_data == {"type": "combination", "alarm_ids": named}


def test_the_reasons_name_the_members():
    assert decide("or", ALARM, OK, ALARM).reason == "Transition to alarm due to alarms m0,m2 in state alarm"
    assert decide("and", OK, OK, repeats=True).reason == "Remaining as ok due to alarms m0,m1 in state ok"
    assert decide("and", ALARM, None).reason == "Alarms m1 are in unknown state"


@pytest.mark.parametrize(("operator", "members"), list(product(["and", "or"], product(STATES, repeat=2))))
def test_what_is_known_is_repeated_and_what_is_unknown_is_not(operator, members):
    first = decide(operator, *members)
    again = decide(operator, *members, state=first.state, repeats=True)
    assert again.state == first.state
    assert again.fires == (first.state != INSUFFICIENT)
    assert not decide(operator, *members, state=first.state).fires
