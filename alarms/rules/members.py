"""Combinations: alarms of alarms, by the states that these were left in (spec 7, as Aodh has it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .decision import ALARM, INSUFFICIENT, OK, Decision, State

__all__ = ["decide_combination"]


def decide_combination(
    rule: Mapping[str, Any], states: Mapping[str, State], state: State, *, repeats: bool
) -> Decision:
    """``states``: of the members that there are, by id. One that is missing is unknown, as one that has insufficient data is.

    One alarm is enough for ``or``, whatever is unknown. While too much is unknown nothing is repeated.
    """
    known = {name: states.get(name, INSUFFICIENT) for name in rule["alarm_ids"]}
    following = _combined(rule["operator"], set(known.values()))
    members = [name for name, member_state in known.items() if member_state == following]
    data = {"type": "combination", "alarm_ids": members}
    moved = following != state
    if following == INSUFFICIENT:
        return Decision(following, f"Alarms {','.join(members)} are in unknown state", data, moved)
    begun = "Transition to" if moved else "Remaining as"
    reason = f"{begun} {following} due to alarms {','.join(members)} in state {following}"
    return Decision(following, reason, data, moved or repeats)


def _combined(operator: str, states: set[State]) -> State:
    if operator == "or" and ALARM in states:
        return ALARM
    if INSUFFICIENT in states:
        return INSUFFICIENT
    if operator == "or":
        return OK
    return ALARM if states == {ALARM} else OK
