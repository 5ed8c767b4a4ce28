"""Which actions alarms may have, by the scheme of their URL."""

from __future__ import annotations

from functools import cache

from alarms.notifiers.registry import schemes

__all__ = ["OPERATORS_ONLY", "known_schemes"]

# What happens on the server itself is the operators' business.
OPERATORS_ONLY = frozenset({"log", "test"})


@cache
def known_schemes() -> frozenset[str]:
    """Those that there is a notifier for. Looked up once: every action of every alarm that is sent is asked for."""
    return frozenset(schemes())
