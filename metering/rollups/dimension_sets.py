"""The metadata that rollups tell apart: what reports are grouped by, and what does not change with every sample.

Grouping or filtering by any other key reads samples. The keys stand here and not in a file, because stored rollups were made with them:
a change of these comes with a migration that takes the dimension sets of all states anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from metering.queries.filters import metadata_paths

__all__ = ["covers", "take_dimensions"]

_KEYS = (
    "flavor.name",
    "flavor.id",
    "instance_type",
    "image.id",
    "host",
    "instance_host",
    "OS-EXT-AZ:availability_zone",
    "availability_zone",
    "os_type",
)
# Everything below this key, in either way of writing it.
_SUBTREE = "user_metadata"
_PATHS = frozenset(path for key in _KEYS for path in metadata_paths(key))


def covers(paths: Iterable[tuple[str, ...]]) -> bool:
    """Whether looking at these places of a dimension set finds just what it would find in the whole metadata."""
    return all(path in _PATHS or _in_subtree(path[0]) for path in paths)


def take_dimensions(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata cut down to the keys above, each where it stood."""
    taken: dict[str, Any] = {name: value for name, value in metadata.items() if _in_subtree(name)}
    for path in _PATHS:
        _copy(metadata, taken, path)
    return taken


def _in_subtree(name: str) -> bool:
    return name == _SUBTREE or name.startswith(f"{_SUBTREE}.")


def _copy(metadata: dict[str, Any], taken: dict[str, Any], path: tuple[str, ...]) -> None:
    *levels, last = path
    for level in levels:
        metadata = metadata.get(level)  # type: ignore[assignment]
        if not isinstance(metadata, dict):
            return
    if last in metadata:
        for level in levels:
            taken = taken.setdefault(level, {})
        taken[last] = metadata[last]
