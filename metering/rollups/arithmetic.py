"""What a rollup is: readings folded into one, and two of them joined. Pure, exact; the store's SQL computes the same.

A step leads from one reading of a chain to its next one. A rollup holds inner steps, both of whose readings it covers; joining two adds the
step between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Context, Decimal, localcontext
from functools import reduce
from typing import NamedTuple

__all__ = ["HOLD_SECONDS", "Reading", "Rollup", "fold", "hold", "increase", "join"]

# A value that is not measured again holds for so long: a longer gap is not bridged. Days have it built in (hours are never so long),
# so it is no setting: changing it calls for new days.
HOLD_SECONDS = 3600
# Volumes have at most 64 characters; sums of squares of very many of them fit.
_EXACT = Context(prec=400)


class Reading(NamedTuple):
    """A volume, when (µs since 1970) and under which sample id: in this order along a chain."""

    at: int
    id: int
    volume: Decimal


@dataclass(frozen=True)
class Rollup:
    """What readings come to, in the order of the chain. The integral is in unit × seconds."""

    count: int
    sum: Decimal
    square_sum: Decimal
    min: Decimal
    max: Decimal
    first: Reading
    last: Reading
    increase: Decimal
    integral: Decimal


def increase(earlier: Decimal | None, later: Decimal) -> Decimal:
    """What a counter gained in a step: after a reset it counts from zero; a first reading of all gains nothing."""
    if earlier is None:
        return Decimal(0)
    with localcontext(_EXACT):
        return later if later < earlier else later - earlier


def hold(reading: Reading, *, until: int | None, start: int | None = None, end: int | None = None) -> Decimal:
    """The integral of a value from its reading until the next one (µs), bounded by HOLD_SECONDS and clipped to [start, end)."""
    ends = [moment for moment in (until, end, reading.at + HOLD_SECONDS * 1_000_000) if moment is not None]
    begins = reading.at if start is None else max(reading.at, start)
    with localcontext(_EXACT):
        return reading.volume * max(min(ends) - begins, 0) / 1_000_000


def fold(readings: Sequence[Reading]) -> Rollup:
    """The rollup of at least one reading of one chain, in any order."""
    return reduce(join, (_single(reading) for reading in sorted(readings)))


def join(earlier: Rollup, later: Rollup) -> Rollup:
    """The rollup of both, the step between them included. ``later`` begins after ``earlier`` ends."""
    with localcontext(_EXACT):
        return Rollup(
            count=earlier.count + later.count,
            sum=earlier.sum + later.sum,
            square_sum=earlier.square_sum + later.square_sum,
            min=min(earlier.min, later.min),
            max=max(earlier.max, later.max),
            first=earlier.first,
            last=later.last,
            increase=earlier.increase + increase(earlier.last.volume, later.first.volume) + later.increase,
            integral=earlier.integral + hold(earlier.last, until=later.first.at) + later.integral,
        )


def _single(reading: Reading) -> Rollup:
    volume = reading.volume
    with localcontext(_EXACT):
        return Rollup(1, volume, volume * volume, volume, volume, reading, reading, Decimal(0), Decimal(0))
