"""Times as the messages carry them, µs since 1970 UTC, and as everything else does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["from_microseconds", "to_microseconds"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(moment: datetime) -> int:
    """µs since 1970 UTC, exactly."""
    return (moment - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """The aware UTC time; raises OverflowError outside years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=value)
