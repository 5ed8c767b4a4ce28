"""Which transformers there are: the built-in table, then plugins by entry point."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from agents.contract import Transformer

from .accumulator import Accumulator
from .aggregator import Aggregator
from .arithmetic import Arithmetic
from .delta import Delta
from .rate_of_change import RateOfChange
from .unit_conversion import UnitConversion

__all__ = ["TRANSFORMERS", "DuplicateTransformer", "load_transformers"]

TRANSFORMERS: dict[str, Callable[[Any], Transformer]] = {
    "accumulator": Accumulator,
    "aggregator": Aggregator,
    "arithmetic": Arithmetic,
    "delta": Delta,
    "rate_of_change": RateOfChange,
    "unit_conversion": UnitConversion,
}


class DuplicateTransformer(Exception):
    """Two transformers of one name; the text names both."""


def load_transformers() -> dict[str, Callable[[Any], Transformer]]:
    """The built-in ones and those of the group ``celometer.transformers``, by name. Raises DuplicateTransformer."""
    named = dict(TRANSFORMERS)
    for point in entry_points(group="celometer.transformers"):
        made = point.load()
        if point.name in named:
            raise DuplicateTransformer(f"the transformer {point.name!r} is both {named[point.name]!r} and {made!r}")
        named[point.name] = made
    return named
