"""Which actions there are, by the scheme of their URL."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

__all__ = ["OPERATORS_ONLY", "known_schemes"]

_BUILT_IN = frozenset({"http", "https", "log", "mailto", "test"})
# What happens on the server itself is the operators' business.
OPERATORS_ONLY = frozenset({"log", "test"})


@cache
def known_schemes() -> frozenset[str]:
    """The schemes that can be told: the built-in ones, and those of plugins (entry points of ``celometer.notifiers``)."""
    return _BUILT_IN | {point.name for point in entry_points(group="celometer.notifiers")}
