"""What each type of alarm needs to be decided, and how it is: one ``AlarmType`` for each that is evaluated on a schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from .decision import INSUFFICIENT, Decision, State
from .registry import rule_types
from .series import SERIES_TYPES, Reading, decide_series, readings_of
from .translations import NotEvaluable
from .trees import decide_tree, leaves_of
from .windows import Bucket

__all__ = ["AlarmType", "Situation", "find_type"]


class Situation(NamedTuple):
    """An alarm at the moment of its evaluation."""

    rule: Mapping[str, Any]
    state: State
    memory: Mapping[str, Any]
    repeats: bool
    now: datetime


class AlarmType(Protocol):
    """``readings`` says which series ``decide`` has to be given, in that order.

    It raises NotEvaluable for a rule that cannot be decided about. Of such a rule ``decide`` is given no series, of what could not be read
    empty ones: there is no data.
    """

    def readings(self, rule: Mapping[str, Any], end_at: datetime) -> list[Reading]: ...

    def decide(self, situation: Situation, series: Sequence[Sequence[Bucket]]) -> Decision: ...


class _Single(NamedTuple):
    """An alarm whose rule is one comparison."""

    name: str

    def readings(self, rule: Mapping[str, Any], end_at: datetime) -> list[Reading]:
        return readings_of(self.name, rule, end_at)

    def decide(self, situation: Situation, series: Sequence[Sequence[Bucket]]) -> Decision:
        rule, state, memory, repeats, now = situation
        return decide_series(self.name, rule, series, state, repeats=repeats, now=now, memory=memory)


class _Composite:
    """An alarm of many comparisons. A leaf that cannot be evaluated is unknown."""

    def readings(self, rule: Mapping[str, Any], end_at: datetime) -> list[Reading]:
        return [reading for leaf in leaves_of(rule) for reading in _leaf_readings(leaf, end_at)]

    def decide(self, situation: Situation, series: Sequence[Sequence[Bucket]]) -> Decision:
        rule, state, memory, repeats, now = situation
        ahead, kept = iter(series), iter(memory.get("leaves", ()))
        decisions = []
        for leaf in leaves_of(rule):
            own = [next(ahead) for _ in _leaf_readings(leaf, now)]
            before = next(kept, {})
            side = before.get("state", INSUFFICIENT)
            decisions.append(decide_series(leaf["type"], leaf, own, side, repeats=False, now=now, memory=before))
        return decide_tree(rule, decisions, state, repeats=repeats)


def _leaf_readings(leaf: Mapping[str, Any], end_at: datetime) -> list[Reading]:
    try:
        return readings_of(leaf["type"], leaf, end_at)
    except NotEvaluable:
        return []


_TYPES: dict[str, AlarmType] = {**{name: _Single(name) for name in SERIES_TYPES}, "composite": _Composite()}


def find_type(name: str) -> AlarmType | None:
    """The type of that name, one from elsewhere too; None where alarms of it are not evaluated from series."""
    if name in _TYPES:
        return _TYPES[name]
    plugin = rule_types().get(name)
    return plugin.evaluation if plugin else None
