"""Whether retention still has a place for what a batch holds."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from metering.messages import Body, EventBody, from_microseconds, to_microseconds
from metering.retention.floors import BODIES, EVENTS, LEDGER, ORIGINS, RAW, Floors, read_floors
from metering.retention.policy import SHORTEST

from .dimensions import DimensionIds
from .errors import BelowFloor
from .verification import VerifiedBatch

__all__ = ["Admitted", "admit"]


class Admitted(NamedTuple):
    """``with_body``: whether the ledger keeps the body; not where bodies of that time have been dropped.

    ``raw_from``: events from before that time are stored without their raw payload.
    """

    with_body: bool
    raw_from: datetime | None = None


def admit(batch: VerifiedBatch, ids: DimensionIds | None, *, now: datetime) -> Admitted:
    """Raise BelowFloor when anything in the batch, or its id, lies below its floor. No query for what is younger than a day.

    ``ids``: those of a batch of samples.
    """
    due = batch.sealed.header.due
    if min([*batch.body.times[:1], due]) >= to_microseconds(now - SHORTEST):
        return Admitted(with_body=True)
    floors = read_floors()
    due_at = from_microseconds(due)
    ledger = floors.by_subject.get(LEDGER)
    if ledger and due_at < ledger:
        raise BelowFloor(f"batch is due {_text(due_at)}: the ledger has been dropped before {_text(ledger)}")
    origins = floors.by_subject.get(ORIGINS)
    if isinstance(batch.body, Body) and batch.body.origins and origins and due_at < origins:
        raise BelowFloor(
            f"batch is due {_text(due_at)}: which inputs were metered before {_text(origins)} is not known any more"
        )
    if isinstance(batch.body, EventBody):
        _check_events(batch.body, floors)
    elif ids is not None:
        _check_samples(batch.body, ids, floors)
    bodies = floors.by_subject.get(BODIES)
    return Admitted(with_body=bodies is None or due_at >= bodies, raw_from=floors.by_subject.get(RAW))


def _check_events(body: EventBody, floors: Floors) -> None:
    lowest = floors.by_subject.get(EVENTS)
    if lowest is None or not body.times or from_microseconds(body.times[0]) >= lowest:
        return
    first = min(body.events, key=lambda event: event.generated)
    raise BelowFloor(
        f"event {first.type} at {_text(from_microseconds(first.generated))}: events have been dropped before {_text(lowest)}"
    )


def _check_samples(body: Body, ids: DimensionIds, floors: Floors) -> None:
    lowest = {
        meter: to_microseconds(floors.by_class[class_id])
        for meter, class_id in enumerate(ids.classes)
        if class_id in floors.by_class
    }
    if not lowest:
        return
    for meter, _, timestamp, _ in body.rows:
        if timestamp < lowest.get(meter, timestamp):
            raise BelowFloor(
                f"sample of {body.meters[meter].name} at {_text(from_microseconds(timestamp))}: samples of its class "
                f"have been dropped before {_text(from_microseconds(lowest[meter]))}"
            )


def _text(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"
