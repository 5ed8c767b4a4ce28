"""Floors: below them nothing is left, and nothing is let in again. They only rise.

Raised before anything is dropped. A collector that read a floor a moment too early writes into a partition that is about to go, or
finds none: the batch is parked, and refused when housekeeping takes it in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

__all__ = [
    "BODIES",
    "EVENTS",
    "LEDGER",
    "ORIGINS",
    "QUARANTINE",
    "RAW",
    "ROLLUPS",
    "Floors",
    "raise_floor",
    "read_floors",
    "samples_of",
]

LEDGER, BODIES, ORIGINS, QUARANTINE = "ledger", "bodies", "origins", "quarantine"
# Events, and the payloads that they were made from.
EVENTS, RAW = "events", "raw"
# Has no floor of its own: rollups are kept as long as samples of any class.
ROLLUPS = "rollups"
_READ = """
SELECT f.subject, f.floor_at, c.id
FROM metering_retentionfloor f LEFT JOIN metering_retentionclass c ON f.subject = 'samples.' || c.name
"""
_RAISE = """
INSERT INTO metering_retentionfloor (subject, floor_at) VALUES (%s, %s)
ON CONFLICT (subject) DO UPDATE SET floor_at = excluded.floor_at WHERE metering_retentionfloor.floor_at < excluded.floor_at
"""


def samples_of(class_name: str) -> str:
    """The subject under which the floor of a class of samples stands."""
    return f"samples.{class_name}"


@dataclass(frozen=True)
class Floors:
    """All floors at one moment: by subject, and those of samples also by their class's id. What has none was never dropped."""

    by_subject: dict[str, datetime] = field(default_factory=dict)
    by_class: dict[int, datetime] = field(default_factory=dict)


def read_floors() -> Floors:
    """One statement."""
    with connection.cursor() as cursor:
        cursor.execute(_READ)
        rows = cursor.fetchall()
    return Floors(
        by_subject={subject: floor_at for subject, floor_at, _ in rows},
        by_class={class_id: floor_at for _, floor_at, class_id in rows if class_id is not None},
    )


def raise_floor(subject: str, floor_at: datetime) -> None:
    """Raise a floor to this time; one that is higher already stays."""
    with connection.cursor() as cursor:
        cursor.execute(_RAISE, [subject, floor_at])
