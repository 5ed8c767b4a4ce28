"""A batch's rows in COPY's text format."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID

from metering.messages import Body, Row, from_microseconds

from .dimensions import DimensionIds

__all__ = ["COPY_MARKS", "COPY_SAMPLES", "Lines", "Rows", "lines_of"]

COPY_SAMPLES = (
    "COPY metering_sample (timestamp, meter_id, retention_class, resource_id, state_id, id, volume) FROM STDIN"
)
COPY_MARKS = "COPY metering_rollupmark (hour, meter_id, batch_id) FROM STDIN"
_HOUR = 3600 * 1_000_000

# Rows as the body holds them (meter index, resource index, timestamp, volume), each with its position.
Rows = list[tuple[int, Row]]


class Lines(NamedTuple):
    """What COPY_SAMPLES and COPY_MARKS read."""

    samples: str
    marks: str


def lines_of(batch_id: UUID, body: Body, ids: DimensionIds, rows: Rows) -> Lines:
    """The rows, and a mark for each hour and meter that they touch. Every field is a number, a time or an id: nothing needs escaping."""
    return Lines(_sample_lines(batch_id, body, ids, rows), _mark_lines(batch_id, ids, rows))


def _sample_lines(batch_id: UUID, body: Body, ids: DimensionIds, rows: Rows) -> str:
    first_id = batch_id.int
    heads = {timestamp: f"{from_microseconds(timestamp).isoformat()}\t" for timestamp in body.times}
    meters = [f"{meter}\t{retention}\t" for meter, retention in zip(ids.meters, ids.classes, strict=True)]
    resources = [f"{resource}\t{state}\t" for resource, state in zip(ids.resources, ids.states, strict=True)]
    return "".join(
        [
            f"{heads[timestamp]}{meters[meter]}{resources[resource]}{first_id | position:032x}\t{volume}\n"
            for position, (meter, resource, timestamp, volume) in rows
        ]
    )


def _mark_lines(batch_id: UUID, ids: DimensionIds, rows: Rows) -> str:
    moments = {(timestamp, meter) for _, (meter, _, timestamp, _) in rows}
    hours = {(timestamp - timestamp % _HOUR, ids.meters[meter]) for timestamp, meter in moments}
    heads = {hour: from_microseconds(hour).isoformat() for hour in {hour for hour, _ in hours}}
    return "".join([f"{heads[hour]}\t{meter}\t{batch_id}\n" for hour, meter in sorted(hours)])
