"""Resources as their samples describe them, in one statement."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from .conditions import SERIES, owner_conditions, series_samples
from .database import Statement, fetch_all
from .filters import SampleFilter, Scope
from .floors import check_floor
from .metadata import flatten
from .meters import find_classes

__all__ = ["ResourceRow", "find_resource", "list_resources"]


class ResourceRow(NamedTuple):
    """A resource as the matching samples show it: owner and metadata of the latest, times of the first and last.

    ``meters`` names the meters of the resource that the caller may see, a name again where it has several units or types; empty
    unless asked for.
    """

    resource_id: str
    source: str
    project_id: str | None
    user_id: str | None
    first_sample_at: datetime
    last_sample_at: datetime
    metadata: dict[str, str]
    meters: list[str]


# Every owner's row of the resource, each of its series, the first and the last matching sample of that: no samples in between are read.
# The last stored counts among equal times.
_LATEST = """
SELECT ids.resource_id, latest.source, latest.project_id, latest.user_id, latest.first_at, latest.timestamp, shown.metadata, {meters}
FROM (SELECT DISTINCT r.resource_id FROM metering_resource r WHERE true{owners}{after}) ids
CROSS JOIN LATERAL (
    SELECT r.source, r.project_id, r.user_id, newest.timestamp, newest.state_id, min(oldest.timestamp) OVER () AS first_at
    FROM{series}
    CROSS JOIN LATERAL ({samples} ORDER BY s.timestamp DESC, s.id DESC LIMIT 1) newest
    CROSS JOIN LATERAL ({samples} ORDER BY s.timestamp LIMIT 1) oldest
    WHERE r.resource_id = ids.resource_id{owners}
    ORDER BY newest.timestamp DESC, newest.id DESC LIMIT 1
) latest
JOIN metering_resourcestate shown ON shown.id = latest.state_id
ORDER BY ids.resource_id LIMIT %s"""
_METERS = """
ARRAY(SELECT m.name FROM metering_meter m WHERE EXISTS (
    SELECT FROM metering_series x JOIN metering_resource r ON r.id = x.resource_id
    WHERE x.meter_id = m.id AND r.resource_id = ids.resource_id{owners}
    AND EXISTS (SELECT FROM metering_sample s WHERE s.meter_id = x.meter_id AND s.resource_id = x.resource_id)
) ORDER BY m.name, m.unit, m.type)"""


def list_resources(
    wanted: SampleFilter, *, scope: Scope, limit: int, with_meters: bool, after: str | None = None
) -> list[ResourceRow]:
    """One row for each resource id that has a matching sample, ascending by it; those behind the id ``after``. Raises NoLongerKept."""
    check_floor(wanted)
    classes = find_classes()
    while classes:
        rows = fetch_all(_latest(wanted, scope, limit, after, classes, with_meters=with_meters))
        known, classes = classes, find_classes()
        # None came meanwhile: these were all.
        if classes == known:
            return [_row(row) for row in rows]
    return []


def _latest(
    wanted: SampleFilter, scope: Scope, limit: int, after: str | None, classes: Sequence[int], *, with_meters: bool
) -> Statement:
    owners = owner_conditions(wanted, scope)
    visible = owner_conditions(SampleFilter(), scope)
    samples = series_samples("s.timestamp, s.id, s.state_id", wanted, classes=classes)
    behind = Statement("") if after is None else Statement(" AND r.resource_id > %s", (after,))
    sql = _LATEST.format(
        meters=_METERS.format(owners=visible.sql) if with_meters else "ARRAY[]::text[]",
        owners=owners.sql,
        after=behind.sql,
        series=SERIES,
        samples=samples.sql,
    )
    parameters = (
        *(visible.parameters if with_meters else ()),
        *owners.parameters,
        *behind.parameters,
        *samples.parameters,
        *samples.parameters,
        *owners.parameters,
        limit,
    )
    return Statement(sql, parameters)


def find_resource(resource_id: str, *, scope: Scope) -> ResourceRow | None:
    """The resource with this id, with its meters, when the caller may see it."""
    found = list_resources(SampleFilter(resource=resource_id), scope=scope, limit=1, with_meters=True)
    return found[0] if found else None


def _row(row: tuple[Any, ...]) -> ResourceRow:
    *plain, metadata, meters = row
    return ResourceRow(*plain, metadata=flatten(metadata), meters=meters)
