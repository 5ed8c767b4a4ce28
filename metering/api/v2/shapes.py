"""Rows as version 2 prints them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec

from metering.messages import Trait
from metering.queries.events import EventRow
from metering.queries.meters import MeterRow
from metering.queries.resources import ResourceRow
from metering.queries.samples import SampleRow
from metering.statistics import StatisticsRequest, StatisticsRow

from ..paths import meter_path, resource_path
from ..renderers import exact

__all__ = [
    "event_shape",
    "format_time",
    "meter_shape",
    "old_sample_shape",
    "resource_shape",
    "sample_shape",
    "statistics_shape",
    "trait_shape",
]

# Turns a path into a URL with this server's public name.
Absolute = Callable[[str], str]


def format_time(at: datetime | None) -> str | None:
    """ISO 8601 in UTC without a zone; microseconds only where there are some."""
    # All times are in UTC: what is cut off is +00:00.
    return at.isoformat()[:-6] if at else None


def sample_shape(row: SampleRow) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "meter": row.meter,
        "type": row.type,
        "unit": row.unit,
        "volume": exact(row.volume),
        "user_id": row.user_id,
        "project_id": row.project_id,
        "resource_id": row.resource_id,
        "source": row.source,
        "timestamp": format_time(row.timestamp),
        "recorded_at": format_time(row.recorded_at),
        "metadata": row.metadata,
    }


def old_sample_shape(row: SampleRow) -> dict[str, Any]:
    """The same under the names that samples had first."""
    return {
        "source": row.source,
        "counter_name": row.meter,
        "counter_type": row.type,
        "counter_unit": row.unit,
        "counter_volume": exact(row.volume),
        "user_id": row.user_id,
        "project_id": row.project_id,
        "resource_id": row.resource_id,
        "timestamp": format_time(row.timestamp),
        "recorded_at": format_time(row.recorded_at),
        "resource_metadata": row.metadata,
        "message_id": str(row.id),
    }


def meter_shape(row: MeterRow) -> dict[str, Any]:
    identity = f"{row.resource_id}+{row.name}".encode()
    return {
        "name": row.name,
        "type": row.type,
        "unit": row.unit,
        "resource_id": row.resource_id,
        "project_id": row.project_id,
        "user_id": row.user_id,
        "source": row.source,
        "meter_id": base64.b64encode(identity).decode(),
    }


def resource_shape(row: ResourceRow, absolute: Absolute) -> dict[str, Any]:
    query = f"?q.field=resource_id&q.value={quote(row.resource_id, safe='')}"
    links = [{"rel": "self", "href": absolute(resource_path(row.resource_id))}]
    links += [{"rel": meter, "href": absolute(meter_path(meter) + query)} for meter in row.meters]
    return {
        "resource_id": row.resource_id,
        "project_id": row.project_id,
        "user_id": row.user_id,
        "source": row.source,
        "first_sample_timestamp": format_time(row.first_sample_at),
        "last_sample_timestamp": format_time(row.last_sample_at),
        "metadata": row.metadata,
        "links": links,
    }


def event_shape(row: EventRow) -> dict[str, Any]:
    """``raw`` byte for byte as it was signed."""
    return {
        "message_id": row.message_id,
        "event_type": row.event_type,
        "generated": format_time(row.generated_at),
        "traits": [trait_shape(trait) for trait in row.traits],
        "raw": msgspec.Raw((row.raw or "{}").encode()),
    }


def trait_shape(trait: Trait) -> dict[str, str]:
    return {"name": trait.name, "type": trait.type, "value": trait.value}


def statistics_shape(row: StatisticsRow, request: StatisticsRequest) -> dict[str, Any]:
    """Standard functions stand at the top; when functions were chosen, all of these stand in ``aggregate`` and the others nowhere."""
    duration, values = row.duration, row.values
    shape: dict[str, Any] = {
        "groupby": row.groups if request.groups else None,
        "unit": row.unit,
        "period": _whole_seconds(row) if request.calendar else request.period_seconds,
        "period_start": format_time(row.period_start_at),
        "period_end": format_time(row.period_end_at),
        "duration": exact(duration.seconds) if duration else None,
        "duration_start": format_time(duration.start_at) if duration else None,
        "duration_end": format_time(duration.end_at) if duration else None,
    }
    for key in ("min", "max", "avg", "sum"):
        if key in values:
            shape[key] = _exact_or_null(values[key])
    if "count" in values:
        shape["count"] = values["count"]
    if request.aggregates:
        shape["aggregate"] = {key: _exact_or_null(value) for key, value in values.items()}
    return shape


def _exact_or_null(value: Decimal | int | None) -> Decimal | None:
    return None if value is None else exact(value)


def _whole_seconds(row: StatisticsRow) -> int:
    return (row.period_end_at - row.period_start_at) // timedelta(seconds=1)
