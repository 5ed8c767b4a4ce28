"""Which notifiers there are, by the scheme of an action's URL: the built-in ones, then plugins by entry point."""

from __future__ import annotations

import importlib
from functools import lru_cache
from importlib.metadata import entry_points

from .contract import Notifier

__all__ = ["find_notifier", "schemes"]

# An entry point of this group is named after its scheme, and names a class of the contract. It does not replace a built-in one.
_GROUP = "celometer.notifiers"
# Imported when first needed: the API asks for schemes only, and does without the libraries.
_BUILT_IN = {
    "http": "http:HttpNotifier",
    "https": "http:HttpNotifier",
    "log": "log:LogNotifier",
    "mailto": "mailto:MailNotifier",
    "test": "test:TestNotifier",
}


def schemes() -> list[str]:
    """All that actions may name."""
    return sorted({*_BUILT_IN, *entry_points(group=_GROUP).names})


@lru_cache(64)
def find_notifier(scheme: str) -> Notifier | None:
    """The one object that tells URLs of this scheme; None where there is none. Raises whatever a plugin raises."""
    if scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        return getattr(importlib.import_module(f".{module}", __package__), name)()
    for point in entry_points(group=_GROUP, name=scheme):
        return point.load()()
    return None
