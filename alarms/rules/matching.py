"""Event alarms: which events a rule is about (spec 9)."""

from __future__ import annotations

import json
import operator
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import translate
from functools import lru_cache
from typing import Any, Generic, NamedTuple, TypeVar

from .decision import ALARM, Decision, State

__all__ = ["EventIndex", "SeenEvent", "decide_event", "matches"]

_ORDERINGS: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "le": operator.le,
    "ge": operator.ge,
    "gt": operator.gt,
}
_TRAIT_CODES = {"string": 1, "integer": 2, "float": 3, "datetime": 4}
_TRUE, _FALSE = frozenset({"1", "t", "true", "on", "y", "yes"}), frozenset({"0", "f", "false", "off", "n", "no"})
_WILD = re.compile(r"[*?\[]")
_Value = str | Decimal | datetime | bool
_Alarm = TypeVar("_Alarm")


class SeenEvent(NamedTuple):
    """An event as alarms see it. ``traits``: name, type (string, integer, float, datetime) and value as text, in their order."""

    message_id: str
    event_type: str
    generated_at: datetime
    traits: Sequence[tuple[str, str, str]]

    @property
    def project_id(self) -> str:
        """Whose event it is: the last of its traits that says so; "" for nobody's."""
        owners = [value for name, _, value in self.traits if name in ("project_id", "tenant_id")]
        return owners[-1] if owners else ""


def matches(rule: Mapping[str, Any], event: SeenEvent) -> bool:
    """Whether the event's type fits the rule's pattern, and every item of its query holds."""
    if not _pattern(rule["event_type"]).match(event.event_type):
        return False
    return all(_holds(item, event) for item in rule["query"])


def decide_event(rule: Mapping[str, Any], event: SeenEvent, state: State, *, repeats: bool) -> Decision:
    """What a hit comes to: it is an alarm, and stays one until somebody says otherwise."""
    query = json.dumps(rule["query"], sort_keys=True)
    reason = f"Event <id={event.message_id},event_type={event.event_type}> hits the query <query={query}>."
    return Decision(ALARM, reason, {"type": "event", "event": _shown(event)}, state != ALARM or repeats)


def _shown(event: SeenEvent) -> dict[str, Any]:
    """The event as the bus of OpenStack's alarms carried it."""
    return {
        "message_id": event.message_id,
        "event_type": event.event_type,
        "generated": event.generated_at.astimezone(UTC).replace(tzinfo=None).isoformat(),
        "traits": [[name, _TRAIT_CODES[kind], _json_value(kind, value)] for name, kind, value in event.traits],
    }


def _json_value(kind: str, value: str) -> str | int | float:
    return int(value) if kind == "integer" else float(value) if kind == "float" else value


def _holds(item: Mapping[str, Any], event: SeenEvent) -> bool:
    """One item. What is missing, or of another type, is not equal, and neither less nor more."""
    found = _left(item["field"], event)
    wanted = _typed(str(item["value"]), item.get("type") or "string")
    if wanted is None:
        return False
    if isinstance(wanted, bool):
        found = _boolean(found)
    compares = item.get("op") or "eq"
    same_type = found is not None and type(found) is type(wanted)
    if compares in ("eq", "ne"):
        return (same_type and found == wanted) == (compares == "eq")
    return same_type and _ORDERINGS[compares](found, wanted)


def _left(field: str, event: SeenEvent) -> _Value | None:
    """A field of the event itself, or the last trait of that name."""
    known: dict[str, _Value] = {
        "message_id": event.message_id,
        "event_type": event.event_type,
        "generated": event.generated_at,
    }
    if field in known:
        return known[field]
    name = field.removeprefix("traits.")
    found = [(kind, value) for trait, kind, value in event.traits if trait == name]
    return _typed(found[-1][1], found[-1][0]) if found else None


def _typed(text: str, kind: str) -> _Value | None:
    """The value that the text stands for; None where it is not of that type."""
    if kind == "boolean":
        return _boolean(text)
    if kind == "datetime":
        return _time(text)
    if kind in ("integer", "float"):
        return _number(text)
    return text


def _number(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def _time(text: str) -> datetime | None:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _boolean(value: _Value | None) -> bool | None:
    word = str(value).strip().lower()
    return word in _TRUE if word in _TRUE | _FALSE else None


@lru_cache(maxsize=4096)
def _pattern(wildcard: str) -> re.Pattern[str]:
    return re.compile(translate(wildcard))


class EventIndex(Generic[_Alarm]):
    """Alarms by project and by how the types begin that they are about: of many, few are looked at for an event."""

    def __init__(self, alarms: Iterable[tuple[str, str, _Alarm]]) -> None:
        """Of each alarm: its project ("" for one that sees all), its pattern of types, and whatever it is known by."""
        self._alarms: dict[tuple[str, str], list[_Alarm]] = defaultdict(list)
        self._lengths: set[int] = set()
        for project_id, pattern, alarm in alarms:
            prefix = _WILD.split(pattern, maxsplit=1)[0]
            self._alarms[project_id, prefix].append(alarm)
            self._lengths.add(len(prefix))

    def candidates(self, event: SeenEvent) -> Iterator[_Alarm]:
        """Every alarm that may be about the event, those of its own project first."""
        for project_id in dict.fromkeys((event.project_id, "")):
            for length in sorted(self._lengths):
                if length <= len(event.event_type):
                    yield from self._alarms.get((project_id, event.event_type[:length]), ())
