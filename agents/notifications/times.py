"""Times as services write them in notifications.

Accepted: ISO 8601 with day and time to the second at least, ``T`` or a blank between them, any fraction (µs are kept), and ``Z``,
``+00:00``, ``+0000`` or nothing for the zone; without a zone it is UTC. All forms seen on the bus are of this kind.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from metering.messages import to_microseconds

__all__ = ["BadTime", "microseconds_of", "read_time"]


class BadTime(ValueError):
    """A value is no time; the text names it."""


def read_time(value: Any) -> datetime:
    """The aware time that a text names. Raises BadTime."""
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise _bad_time(value) from None
    # Python reads more of ISO 8601 than any service writes: days without a time, weeks, any character in the middle.
    if value[4::3][:5] not in ("--T::", "-- ::"):
        raise _bad_time(value)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def microseconds_of(value: Any) -> int:
    """The same in µs since 1970 UTC. Raises BadTime."""
    return to_microseconds(read_time(value))


def _bad_time(value: Any) -> BadTime:
    return BadTime(f"time {value!r:.80}: expected ISO 8601 with day and time, like 2026-03-14 09:26:41.220517")
