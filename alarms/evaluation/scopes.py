"""Whose samples, events and alarms an alarm may look at, whatever its rule says."""

from __future__ import annotations

from alarms.models import Alarm
from metering.queries.filters import Scope

__all__ = ["scope_of"]


def scope_of(alarm: Alarm) -> Scope:
    """Its project's. One of no project is an operator's: everybody's."""
    return Scope((alarm.project_id,) if alarm.project_id else None)
