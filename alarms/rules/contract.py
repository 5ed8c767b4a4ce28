"""What a type of alarm is: all that an author of one imports.

A plugin is an entry point of the group ``celometer.alarm_rules`` that names a ``RuleType``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .alarm_types import AlarmType

__all__ = ["BadRule", "Rule", "RuleType"]

# A rule as it is stored and shown under ``<type>_rule``: JSON, every field that has a default filled in.
Rule = dict[str, Any]

_SHOWN_CHARACTERS = 200


class BadRule(ValueError):
    """A rule that cannot be stored. ``text`` names the value and what was expected."""

    def __init__(self, text: str, *, value: object = None) -> None:
        super().__init__(text)
        self.text = text
        self.value = None if value is None else shorten(value)

    @classmethod
    def of_field(cls, name: str, value: object, reason: str) -> BadRule:
        """In the words that programs written for Ceilometer look for (spec §4.1)."""
        text = f"Invalid input for field/attribute {name}. Value: '{shorten(value)}'. {reason}"
        return cls(text, value=value)


@dataclass(frozen=True)
class RuleType:
    """A type of alarm, by its name.

    ``parse`` checks what was sent and fills it in; its second argument says where it stands, for texts, such as
    ``data.threshold_rule``. It raises BadRule. What it makes is taken by itself again, unchanged. ``describe`` is the description of
    alarms that have none. ``may_be_leaf``: whether it may stand in a composite rule; ``asks_samples``: whether its ``query`` is one on
    samples, which is told what project it is about. ``evaluation`` says which series it needs and decides about them; alarms of a type
    from elsewhere that has none are stored and shown, and keep their state.
    """

    name: str
    parse: Callable[[Any, str], Rule]
    describe: Callable[[Mapping[str, Any]], str]
    may_be_leaf: bool = False
    asks_samples: bool = False
    evaluation: AlarmType | None = None


def shorten(value: object) -> str:
    """The value as text, cut where an answer would grow by what was sent."""
    text = str(value)[: _SHOWN_CHARACTERS + 1]
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
