"""What each type of alarm needs to be decided, and how it is: one ``AlarmType`` for each that is evaluated on a schedule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from .decision import Decision, State
from .outcomes import decide
from .series import SERIES_TYPES, Reading, outcome_of, readings_of
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
    """``readings`` says which series ``decide`` has to be given, in that order."""

    def readings(self, rule: Mapping[str, Any], end_at: datetime) -> list[Reading]: ...

    def decide(self, situation: Situation, series: Sequence[Sequence[Bucket]]) -> Decision: ...


class _Single(NamedTuple):
    """An alarm whose rule is one comparison."""

    name: str

    def readings(self, rule: Mapping[str, Any], end_at: datetime) -> list[Reading]:
        return readings_of(self.name, rule, end_at)

    def decide(self, situation: Situation, series: Sequence[Sequence[Bucket]]) -> Decision:
        rule = situation.rule
        return decide(
            outcome_of(self.name, rule, series, situation.state),
            situation.state,
            repeats=situation.repeats,
            now=situation.now,
            memory=situation.memory,
            pending_seconds=rule.get("pending_seconds") or 0,
            type_name=self.name,
        )


_TYPES: dict[str, AlarmType] = {name: _Single(name) for name in SERIES_TYPES}


def find_type(name: str) -> AlarmType | None:
    """The type of that name; None where alarms of it are not evaluated from series."""
    return _TYPES.get(name)
