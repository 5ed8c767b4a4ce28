"""What a change of state is told with."""

from __future__ import annotations

from typing import Any, NamedTuple
from uuid import UUID

from alarms.models import Alarm

__all__ = ["Fired"]


class Fired(NamedTuple):
    """An alarm whose actions are to be told: of ``current``, which may be the same as ``previous`` where it repeats them."""

    alarm: Alarm
    previous: str
    current: str
    reason: str
    reason_data: dict[str, Any]
    change_id: UUID | None
