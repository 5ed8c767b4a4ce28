"""Lists as tables, for people: names and ids lead on to what they name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from django.utils.html import format_html, format_html_join, strip_tags
from django.utils.safestring import SafeString, mark_safe

from .paths import alarm_path, event_path, meter_path, resource_path, sample_path

__all__ = ["Table", "build_table"]

_METER_COLUMNS = frozenset({"name", "meter", "counter_name"})
_SAMPLE_COLUMNS = frozenset({"id", "message_id"})
# Too wide for a table, and of no use to a person; they stand in the JSON below it.
_LEFT_OUT = frozenset({"meter_id", "recorded_at", "links", "period", "duration_start", "duration_end", "raw",
                       "ok_actions", "alarm_actions", "insufficient_data_actions", "time_constraints", "attempts"})  # fmt: skip
# What a person looks for first; columns not named here follow.
_FIRST = (
    *("generated", "event_type"),
    *("period_start", "period_end", "groupby", "timestamp", "name", "meter", "counter_name"),
    *(
        "volume",
        "counter_volume",
        "unit",
        "counter_unit",
        "resource_id",
        "count",
        "min",
        "max",
        "avg",
        "sum",
        "aggregate",
    ),
    *("state", "severity", "enabled"),
    *("duration", "first_sample_timestamp", "last_sample_timestamp", "type", "counter_type"),
    *("project_id", "user_id", "source", "metadata", "resource_metadata"),
)
_SHOWN_DECIMALS = 6
_NOTHING = mark_safe('<span class="none">–</span>')


class Table:
    """Column names, rows of cells (safe HTML), and which columns hold numbers."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[tuple[SafeString, bool]]]) -> None:
        self.columns = columns
        self.rows = rows


def build_table(data: object, *, absolute: Callable[[str], str]) -> Table | None:
    """The table of a list of objects, of an event's traits; None for anything else, and for an empty list."""
    if isinstance(data, Mapping):
        data = data.get("traits")
    if not isinstance(data, list) or not data or not all(isinstance(row, Mapping) for row in data):
        return None
    places = {name: place for place, name in enumerate(_FIRST)}
    # A column of nothing says nothing.
    named = (name for name in data[0] if name not in _LEFT_OUT and not name.endswith("_rule"))
    shown = [name for name in named if any(row.get(name) is not None for row in data)]
    columns = sorted(shown, key=lambda name: places.get(name, len(_FIRST)))
    rows = [[_cell(name, row, absolute) for name in columns] for row in data]
    return Table([name.replace("_", " ") for name in columns], rows)


def _cell(column: str, row: Mapping[str, Any], absolute: Callable[[str], str]) -> tuple[SafeString, bool]:
    value = row.get(column)
    if column == "traits":
        value = {trait["name"]: trait["value"] for trait in value}
    if value is None:
        return _NOTHING, False
    if isinstance(value, Mapping):
        pairs = format_html_join(" ", "<b>{}</b> {}", value.items())
        return format_html('<div class="pairs" title="{}">{}</div>', strip_tags(pairs), pairs), False
    if isinstance(value, bool):
        return format_html("{}", "yes" if value else "no"), False
    if isinstance(value, Decimal | int):
        return _number(value), True
    target = _target(column, str(value), row)
    if target:
        return format_html('<a href="{}">{}</a>', absolute(target), value), False
    return format_html("{}", value), False


def _number(value: Decimal | int) -> SafeString:
    """With so many digits as a person reads; all of them on pointing at it, and in the JSON below."""
    text = f"{value:f}" if isinstance(value, Decimal) else str(value)
    whole, _, fraction = text.partition(".")
    if len(fraction) <= _SHOWN_DECIMALS:
        return format_html("{}", text)
    return format_html('<span title="{}">{}.{}…</span>', text, whole, fraction[:_SHOWN_DECIMALS])


def _target(column: str, value: str, row: Mapping[str, Any]) -> str:
    # Traits and alarms have names, too, and events have message ids.
    if column in _METER_COLUMNS and ("unit" in row or "counter_unit" in row):
        return f"{meter_path(value)}?limit=20"
    if column in _SAMPLE_COLUMNS and row.keys() & {"event_type", "meter", "counter_name"}:
        return event_path(value) if "event_type" in row else sample_path(value)
    if column == "alarm_id" or (column == "name" and row.keys() >= {"alarm_id", "state"}):
        return alarm_path(str(row["alarm_id"]))
    return resource_path(value) if column == "resource_id" else ""
