"""From values to a state: what they say together, where that leads from the state that is (spec 6.3), and how it is told (6.5)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from operator import eq, ge, gt, le, lt, ne
from typing import Any, NamedTuple

from .decision import ALARM, INSUFFICIENT, OK, Decision, State

__all__ = ["COMPARISONS", "Outcome", "Verdict", "compare", "decide", "decimal_of", "judge", "state_after"]

COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {"lt": lt, "le": le, "eq": eq, "ne": ne, "ge": ge, "gt": gt}


class Verdict(Enum):
    """What the kept values say together; of mixed ones the newest tells where things go."""

    ALL = "all values are outside"
    NONE = "no value is outside"
    RISING = "some are, the newest too"
    FALLING = "some are, the newest is not"
    UNKNOWN = "there are too few"


class Outcome(NamedTuple):
    """``needed``: how many values there have to be; ``outside``: of each value kept, oldest first, whether it is outside."""

    verdict: Verdict
    needed: int
    outside: tuple[bool, ...]
    newest: Decimal | None


_NEXT: dict[tuple[State, Verdict], State] = {
    (INSUFFICIENT, Verdict.RISING): ALARM,
    (INSUFFICIENT, Verdict.FALLING): OK,
    **{(state, Verdict.ALL): ALARM for state in (OK, ALARM, INSUFFICIENT)},
    **{(state, Verdict.NONE): OK for state in (OK, ALARM, INSUFFICIENT)},
    **{(state, Verdict.UNKNOWN): INSUFFICIENT for state in (OK, ALARM, INSUFFICIENT)},
}


def compare(values: Sequence[Decimal], rule: Mapping[str, Any], state: State) -> Outcome:
    """Compare the last values, oldest first, with the rule's threshold, exactly.

    A ``recovery_threshold`` counts while the state is alarm: there is an end to it only when no value is beyond that either.
    """
    needed = rule.get("evaluation_periods", 1)
    kept = list(values)[-needed:]
    outside = _beyond(kept, rule, rule["threshold"])
    if state == ALARM and rule.get("recovery_threshold") is not None and not all(outside):
        # Values between the two thresholds hold the alarm, and do not raise it.
        outside = _beyond(kept, rule, rule["recovery_threshold"])
        if all(outside) and len(kept) == needed:
            return Outcome(Verdict.RISING, needed, outside, kept[-1])
    return judge(outside, needed, kept[-1] if kept else None)


def judge(outside: Sequence[bool], needed: int, newest: Decimal | None) -> Outcome:
    """What values say of which it is known whether each is outside."""
    if len(outside) < needed:
        verdict = Verdict.UNKNOWN
    elif all(outside):
        verdict = Verdict.ALL
    elif not any(outside):
        verdict = Verdict.NONE
    else:
        verdict = Verdict.RISING if outside[-1] else Verdict.FALLING
    return Outcome(verdict, needed, tuple(outside), newest)


def _beyond(values: Sequence[Decimal], rule: Mapping[str, Any], threshold: Any) -> tuple[bool, ...]:
    bound = decimal_of(threshold)
    compares = COMPARISONS[rule["comparison_operator"]]
    return tuple(compares(value, bound) for value in values)


def decimal_of(value: Any) -> Decimal:
    """A number of a rule as it was written: 0.1 is a tenth."""
    return value if isinstance(value, Decimal) else Decimal(str(value))


def state_after(state: State, verdict: Verdict) -> State:
    """Known states move only when all values agree; from an unknown one the newest leads."""
    return _NEXT.get((state, verdict), state)


def decide(
    outcome: Outcome,
    state: State,
    *,
    repeats: bool,
    now: datetime,
    memory: Mapping[str, Any],
    pending_seconds: int = 0,
    type_name: str = "threshold",
) -> Decision:
    """The decision of an alarm whose rule is one comparison. ``memory`` is what the last decision left.

    ``pending_seconds``: the values have to lead to alarm for so long, in one go, before it is one.
    """
    following = state_after(state, outcome.verdict)
    kept: dict[str, Any] = {}
    if pending_seconds and following == ALARM != state:
        since = datetime.fromisoformat(memory["pending_since"]) if "pending_since" in memory else now
        if now - since < timedelta(seconds=pending_seconds):
            # Values that fall short of an alarm only by time hold the state that is, and nobody is told again of that.
            return Decision(
                state, *_told(outcome, state, state, type_name), False, {"pending_since": since.isoformat()}
            )
    moved = following != state
    return Decision(following, *_told(outcome, state, following, type_name), moved or repeats, kept)


def _told(outcome: Outcome, state: State, following: State, type_name: str) -> tuple[str, dict[str, Any]]:
    """Reason and reason_data: as many values as lie on the side of the state."""
    newest = _number(outcome.newest)
    data = {"type": type_name, "disposition": "unknown", "count": outcome.needed, "most_recent": newest}
    if following == INSUFFICIENT:
        return f"{outcome.needed} datapoints are unknown", data
    side = "inside" if following == OK else "outside"
    count = sum(outside == (following == ALARM) for outside in outcome.outside)
    data |= {"disposition": side, "count": count}
    begun = "Remaining as" if following == state else "Transition to"
    return f"{begun} {following} due to {count} samples {side} threshold, most recent: {newest}", data


def _number(value: Decimal | int | None) -> int | float | None:
    """A value as JSON tells it: whole where it is whole."""
    if value is None:
        return None
    return int(value) if value == int(value) else float(value)
