"""What an evaluation comes to."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

__all__ = ["ALARM", "INSUFFICIENT", "OK", "STATES", "Decision", "State"]

State = Literal["ok", "alarm", "insufficient data"]
OK: State = "ok"
ALARM: State = "alarm"
INSUFFICIENT: State = "insufficient data"
STATES: tuple[State, ...] = (OK, ALARM, INSUFFICIENT)


class Decision(NamedTuple):
    """The state that follows from what was seen, why, and whether somebody is to be told.

    ``reason`` and ``reason_data`` are what spec §6.5 (§7, §8, §9) says they are. ``fires`` is true for every change of the state, and for a
    state that stays where the alarm repeats its actions. ``memory`` is what the next evaluation is given (JSON), whatever came of this.
    """

    state: State
    reason: str
    reason_data: dict[str, Any]
    fires: bool
    memory: dict[str, Any] = {}
