"""Which discoveries and pollsters there are: the built-in table, then plugins by entry point."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, TypeVar

from .compute import catalogue as compute
from .contract import Discovery, Pollster

Plugin = TypeVar("Plugin", Discovery, Pollster)

__all__ = ["DuplicateName", "Registry", "load_registry"]


class DuplicateName(Exception):
    """Two pollsters or discoveries of one name; the text names both."""


@dataclass(frozen=True)
class Registry:
    """All that can be polled, by name."""

    discoveries: dict[str, Discovery]
    pollsters: dict[str, Pollster]


def load_registry(*, libvirt_uri: str) -> Registry:
    """The built-in plugins and those of the groups ``celometer.discovery`` and ``celometer.pollsters``.

    An entry point names an object of the contract, or a class that makes one without arguments. Raises DuplicateName.
    """
    discoveries = [*compute.discoveries(libvirt_uri or None), *_plugins("celometer.discovery")]
    pollsters = [*compute.POLLSTERS, *_plugins("celometer.pollsters")]
    return Registry(_by_name(discoveries), _by_name(pollsters))


def _plugins(group: str) -> list[Any]:
    loaded = [point.load() for point in entry_points(group=group)]
    return [plugin() if isinstance(plugin, type) else plugin for plugin in loaded]


def _by_name(plugins: Iterable[Plugin]) -> dict[str, Plugin]:
    named: dict[str, Plugin] = {}
    for plugin in plugins:
        name = plugin.name
        if name in named:
            raise DuplicateName(f"{name!r} is both {named[name]!r} and {plugin!r}")
        named[name] = plugin
    return named
