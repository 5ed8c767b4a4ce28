"""Which notifiers there are, by the scheme of an action's URL: the built-in ones, then plugins by entry point."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from .contract import Notifier
from .http import HttpNotifier
from .log import LogNotifier
from .mailto import MailNotifier
from .test import TestNotifier

__all__ = ["DuplicateScheme", "notifiers"]

_GROUP = "celometer.notifiers"
_BUILT_IN: tuple[type[Notifier], ...] = (HttpNotifier, LogNotifier, MailNotifier, TestNotifier)


class DuplicateScheme(Exception):
    """Two notifiers of one scheme; the text names both."""


@cache
def notifiers() -> dict[str, Notifier]:
    """Notifier by scheme. An entry point of ``celometer.notifiers`` names a class of the contract. Raises DuplicateScheme."""
    by_scheme: dict[str, Notifier] = {}
    for made_by in (*_BUILT_IN, *(point.load() for point in entry_points(group=_GROUP))):
        notifier = made_by()
        for scheme in notifier.schemes:
            if scheme in by_scheme:
                raise DuplicateScheme(f"{scheme}:// is both {by_scheme[scheme]!r} and {notifier!r}")
            by_scheme[scheme] = notifier
    return by_scheme
