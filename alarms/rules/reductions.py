"""A statistic of values that are statistics themselves: the mean of means, the highest of the highest (spec 3.5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from math import ceil

__all__ = ["reduce_values"]

_DIGITS = Context(prec=60)


def reduce_values(statistic: str, values: Sequence[Decimal]) -> Decimal:
    """Of at least one value. Counts add up; of increases it is the mean, as Gnocchi has it for rate:mean."""
    if statistic[0] == "p":
        return _percentile(values, Fraction(statistic[1:]))
    return _REDUCTIONS[statistic](values)


def _mean(values: Sequence[Decimal]) -> Decimal:
    return _divided(sum(map(Fraction, values)) / len(values))


def _deviation(values: Sequence[Decimal]) -> Decimal:
    mean = sum(map(Fraction, values)) / len(values)
    return _DIGITS.sqrt(_divided(sum((Fraction(value) - mean) ** 2 for value in values) / len(values)))


def _percentile(values: Sequence[Decimal], share: Fraction) -> Decimal:
    """The smallest that so many in a hundred do not exceed, as statistics have it."""
    return sorted(values)[max(ceil(len(values) * share / 100), 1) - 1]


def _total(values: Sequence[Decimal]) -> Decimal:
    return _divided(sum(map(Fraction, values), Fraction(0)))


def _divided(number: Fraction) -> Decimal:
    return _DIGITS.divide(Decimal(number.numerator), Decimal(number.denominator))


_REDUCTIONS: dict[str, Callable[[Sequence[Decimal]], Decimal]] = {
    "avg": _mean,
    "min": min,
    "max": max,
    "sum": _total,
    "count": _total,
    "increase": _mean,
    "rate": _mean,
    "stddev": _deviation,
    "median": lambda values: _percentile(values, Fraction(50)),
    "first": lambda values: values[0],
    "last": lambda values: values[-1],
}
