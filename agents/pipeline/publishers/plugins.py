"""Publishers of other packages: entry points of the group ``celometer.publishers``, each a class of the contract's ``Publisher``."""

from __future__ import annotations

import logging
from functools import cache
from importlib.metadata import entry_points

from ...contract import Publisher

__all__ = ["plugins"]

logger = logging.getLogger(__name__)


@cache
def plugins() -> dict[str, type[Publisher]]:
    """By scheme. One that cannot be loaded, or claims a scheme that another has, is left out with an error in the log."""
    found: dict[str, type[Publisher]] = {}
    for point in entry_points(group="celometer.publishers"):
        try:
            plugin = point.load()
            schemes = tuple(plugin.schemes)
        except Exception as error:  # whatever a foreign package raises: the others are loaded all the same
            logger.error("the publisher %s cannot be loaded: %s: %s", point.value, type(error).__name__, error)
            continue
        for scheme in schemes:
            if scheme in found:
                logger.error("%s:// is both %r and %r; the first counts", scheme, found[scheme], plugin)
            found.setdefault(scheme, plugin)
    return found
