"""When an alarm is evaluated: from each start, in its time zone, for so many seconds (spec §2.1)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter

from alarms.rules.contract import BadRule, shorten
from alarms.rules.fields import MAX_SECONDS, Fields

__all__ = ["parse_time_constraints"]

_MOST_ENTRIES = 50
_MOST_CHARACTERS = 10_000
_FIELDS = ("name", "description", "start", "duration", "timezone")
# Any day will do: it is asked only whether there is one at all.
_SOME_DAY = datetime(2020, 1, 1, tzinfo=UTC)


def parse_time_constraints(fields: Fields) -> list[dict[str, Any]]:
    """Each with all its fields filled in. Raises BadRule."""
    path = f"{fields.path}.time_constraints"
    entries = fields.entries("time_constraints", most=_MOST_ENTRIES)
    constraints = [_parse(Fields.of(entry, path=path, known=_FIELDS)) for entry in entries]
    names = [constraint["name"] for constraint in constraints]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise BadRule("Time constraint names must be unique for a given alarm.", value=repeated)
    return constraints


def _parse(fields: Fields) -> dict[str, Any]:
    start = _start(fields)
    duration = fields.integer("duration", least=0, most=MAX_SECONDS)
    described = fields.text("description", "", most=_MOST_CHARACTERS, may_be_empty=True)
    return {
        "name": fields.text("name"),
        "description": described or f"Time constraint at {start} lasting for {duration} seconds",
        "start": start,
        "duration": duration,
        "timezone": _time_zone(fields),
    }


def _start(fields: Fields) -> str:
    """A cron expression that comes true some time, and is not drawn by lot."""
    start = fields.text("start")
    try:
        if any(word[:1] in "RrHh" for word in start.split() if not word.startswith("@")):
            raise ValueError("R and H are drawn anew")
        croniter(start, _SOME_DAY).get_next(datetime)
    except (ValueError, KeyError, OverflowError, TypeError) as error:
        reason = "expected a cron expression of 5 to 7 fields, such as 0 11 * * *, or a word such as @daily"
        raise BadRule.of_field("start", start, f"{reason}: {shorten(error)}") from error
    return start


def _time_zone(fields: Fields) -> str:
    name = fields.text("timezone", "", may_be_empty=True)
    if name:
        try:
            ZoneInfo(name)
        except (ValueError, OSError, KeyError) as error:
            raise BadRule(f"Timezone {shorten(name)} is not valid", value=name) from error
    return name
