"""Which meters there are, of which resources; from the small tables, looking at one sample of each pair."""

from __future__ import annotations

from typing import NamedTuple

from .conditions import SERIES, meter_conditions, owner_conditions, state_conditions
from .database import Statement, fetch_all
from .filters import SampleFilter, Scope

__all__ = ["KnownMeter", "MeterRow", "find_classes", "find_meters", "list_meters", "list_unique_meters"]


class MeterRow(NamedTuple):
    """A meter of a resource, with the owner that its newest sample names; of no resource in a unique list."""

    name: str
    type: str
    unit: str
    resource_id: str | None = None
    project_id: str | None = None
    user_id: str | None = None
    source: str | None = None
    series_id: int | None = None


class KnownMeter(NamedTuple):
    """A meter as the tables of samples and rollups know it."""

    id: int
    unit: str
    retention_class: int


# The newest sample of a pair; a pair that has none yet drops out.
_NEWEST = """
CROSS JOIN LATERAL (
    SELECT s.timestamp, s.id, s.state_id FROM metering_sample s
    WHERE s.meter_id = x.meter_id AND s.resource_id = x.resource_id
    ORDER BY s.timestamp DESC, s.id DESC LIMIT 1
) newest"""
# A resource that changed hands has a row for each owner: only the one that was metered last speaks for it. Another source may speak
# only of what the caller sees: anybody may post samples of a resource id that is somebody else's, under a source of their own.
_METERED_LAST = """
 AND NOT EXISTS (
    SELECT FROM metering_resource other
    JOIN metering_series other_x ON other_x.resource_id = other.id AND other_x.meter_id = x.meter_id
    CROSS JOIN LATERAL (
        SELECT s.timestamp, s.id FROM metering_sample s
        WHERE s.meter_id = other_x.meter_id AND s.resource_id = other_x.resource_id
        ORDER BY s.timestamp DESC, s.id DESC LIMIT 1
    ) later
    WHERE other.resource_id = r.resource_id AND other.id <> r.id AND (later.timestamp, later.id) > (newest.timestamp, newest.id)
      AND (other.source = r.source OR %s OR other.project_id = ANY(%s))
)"""


def find_meters(name: str | None) -> list[KnownMeter]:
    """The meters of this name (all, when it is None), ascending by id. None of them will ever be another or be deleted."""
    named = Statement("") if name is None else Statement(" WHERE name = %s", (name,))
    rows = fetch_all(
        Statement("SELECT id, unit, retention_class FROM metering_meter").then_all(named).then(" ORDER BY id")
    )
    return [KnownMeter(*row) for row in rows]


def find_classes() -> tuple[int, ...]:
    """The retention classes of all meters, ascending; none as long as there is no meter. Like these, none is ever deleted."""
    rows = fetch_all(Statement("SELECT DISTINCT retention_class FROM metering_meter ORDER BY 1"))
    return tuple(class_id for (class_id,) in rows)


def list_meters(wanted: SampleFilter, *, scope: Scope, limit: int, after: int | None = None) -> list[MeterRow]:
    """One row for each name, type, unit and resource, in the order in which they first appeared; those behind the series ``after``.

    Owner and metadata are those of the newest sample, and the filter is tested on it alone: who owned a resource before does
    not list its meters any more. A resource that changes hands has the place in which its new owner first appeared.
    """
    statement = Statement(
        "SELECT m.name, m.type, m.unit, r.resource_id, r.project_id, r.user_id, r.source, x.id FROM"
    ).then_all(_pairs(wanted, scope))
    if after is not None:
        statement = statement.then(" AND x.id > %s", after)
    return [MeterRow(*row) for row in fetch_all(statement.then(" ORDER BY x.id LIMIT %s", limit))]


def list_unique_meters(
    wanted: SampleFilter, *, scope: Scope, limit: int, after: tuple[str, str, str] | None = None
) -> list[MeterRow]:
    """One row for each name, type and unit that ``list_meters`` would show with any resource, by name, unit and type; those
    behind ``after``.
    """
    pairs = _pairs(wanted, scope)
    statement = Statement(
        "SELECT u.name, u.type, u.unit FROM metering_meter u WHERE EXISTS (SELECT FROM", pairs.parameters
    ).then(pairs.sql + " AND m.id = u.id)")
    if after is not None:
        statement = statement.then(" AND (u.name, u.unit, u.type) > (%s, %s, %s)", *after)
    return [MeterRow(*row) for row in fetch_all(statement.then(" ORDER BY u.name, u.unit, u.type LIMIT %s", limit))]


def _pairs(wanted: SampleFilter, scope: Scope) -> Statement:
    state = " JOIN metering_resourcestate st ON st.id = newest.state_id" if wanted.metadata else ""
    return Statement(f"{SERIES}{_NEWEST}{state} WHERE true").then_all(
        owner_conditions(wanted, scope),
        meter_conditions(wanted),
        state_conditions(wanted),
        Statement(_METERED_LAST, (scope.projects is None, list(scope.projects or ()))),
    )
