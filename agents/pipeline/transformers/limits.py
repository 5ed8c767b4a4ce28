"""Bounds of what transformers remember of one resource: nothing grows for ever, whatever comes in."""

from __future__ import annotations

from typing import Any

__all__ = ["LONGEST_HELD_MICROSECONDS", "MOST_HELD", "MOST_REMEMBERED", "forget_oldest"]

LONGEST_HELD_MICROSECONDS = 7 * 24 * 3600 * 1_000_000
"""What an accumulator or an aggregator still holds then goes on as it is. States live a day longer."""

MOST_HELD = 1_000
"""Samples in an accumulator; the largest ``size``."""

MOST_REMEMBERED = 1_000
"""Meters of one resource that rate_of_change and delta know the last sample of, and aggregates that are open."""


def forget_oldest(last: dict[str, list[Any]]) -> None:
    """Keep the bound of an object of ``[timestamp, …]`` by name."""
    while len(last) > MOST_REMEMBERED:
        del last[min(last, key=lambda name: last[name][0])]
