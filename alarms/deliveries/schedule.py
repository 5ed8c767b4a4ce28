"""When a delivery that failed is tried again."""

from __future__ import annotations

import random
from datetime import datetime, timedelta

__all__ = ["GIVE_UP_AFTER", "LONGEST_PAUSE", "next_due_at"]

# A receiver that was restarted hears of it soon; one that is repaired overnight still does.
_PAUSES = [timedelta(seconds=seconds) for seconds in (10, 60, 300, 900, 3600, 7200, 14_400)]
LONGEST_PAUSE = _PAUSES[-1]
# Longer by more than one (stretched) pause than the 24 hours that are promised, so that an attempt lies between them and the end.
GIVE_UP_AFTER = timedelta(hours=30)
_JITTER = 0.25


def next_due_at(
    now: datetime, *, failure_count: int, give_up_at: datetime, retry_after: timedelta | None
) -> datetime | None:
    """When to try again after this many failures; None where that would be too late.

    A pause is stretched by up to a quarter at random, so that what failed together does not come back together. ``retry_after``, what the
    receiver asked for, counts where it is longer, up to ``LONGEST_PAUSE``.
    """
    pause = _PAUSES[min(failure_count, len(_PAUSES)) - 1] * (1 + _JITTER * random.random())
    if retry_after is not None:
        pause = max(pause, min(retry_after, LONGEST_PAUSE))
    due_at = now + pause
    return due_at if due_at <= give_up_at else None
