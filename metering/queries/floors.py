"""Whether the samples that a question is about are still kept: an answer from the rest of them would be wrong without saying so."""

from __future__ import annotations

from datetime import datetime

from metering.retention.floors import EVENTS

from .database import Statement, fetch_all
from .errors import NoLongerKept
from .filters import SampleFilter

__all__ = ["check_event_floor", "check_floor", "find_floor"]

# The latest floor of the classes that the meters in question belong to.
_FLOOR = """
SELECT f.floor_at, c.name FROM metering_retentionfloor f JOIN metering_retentionclass c ON f.subject = 'samples.' || c.name
WHERE EXISTS (SELECT FROM metering_meter m WHERE m.retention_class = c.id{named})
ORDER BY f.floor_at DESC LIMIT 1"""


def find_floor(meter: str | None) -> tuple[datetime, str] | None:
    """From when on all samples of the meter (or of all meters) are kept, and the class that says so; None when none was dropped."""
    named = Statement("") if meter is None else Statement(" AND m.name = %s", (meter,))
    rows = fetch_all(Statement(_FLOOR.format(named=named.sql), named.parameters))
    return (rows[0][0], rows[0][1]) if rows else None


def check_floor(wanted: SampleFilter) -> None:
    """Raise NoLongerKept when the window begins, or lies, below the floor. One small statement where a window is given.

    A question without a window is about what there is: it is answered.
    """
    bound = wanted.lower or wanted.upper
    floor = find_floor(wanted.meter) if bound else None
    if not (bound and floor and bound.at < floor[0]):
        return
    of = f"of {wanted.meter}" if wanted.meter else f"of meters of the class {floor[1]!r}"
    hint = "" if wanted.meter else ", or name a meter that is kept longer"
    raise NoLongerKept(
        f"Samples {of} are kept from {floor[0]:%Y-%m-%dT%H:%M:%SZ} on: a time range that begins at {bound.at:%Y-%m-%dT%H:%M:%SZ} "
        f"cannot be answered in full. Begin it later{hint}.",
        value=bound.at.isoformat(),
    )


def check_event_floor(at: datetime | None) -> None:
    """Raise NoLongerKept when a window of events begins, or lies, below their floor. One small statement where a time is given."""
    if at is None:
        return
    rows = fetch_all(Statement("SELECT floor_at FROM metering_retentionfloor WHERE subject = %s", (EVENTS,)))
    if rows and at < rows[0][0]:
        raise NoLongerKept(
            f"Events are kept from {rows[0][0]:%Y-%m-%dT%H:%M:%SZ} on: a time range that begins at {at:%Y-%m-%dT%H:%M:%SZ} "
            "cannot be answered in full. Begin it later.",
            value=at.isoformat(),
        )
