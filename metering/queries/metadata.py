"""Stored metadata as version 2 prints it: one flat object, text to text.

Levels are joined by a separator: the first of a key is a dot, all further ones are colons, and so are dots inside keys.
``{"a": {"b": {"c": 1}}}`` is printed as ``{"a.b:c": "1"}``. Types stay in the store; a filter finds a value by the printed key, by the key
with dots, with its type or without.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["flatten"]


class _Number(str):
    """A number exactly as the store holds it, unquoted inside a printed list."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def flatten(stored: str) -> dict[str, str]:
    """Read the store's JSON text and flatten it. Empty objects vanish; True, None and lists look as Python prints them."""
    flat: dict[str, str] = {}
    try:
        _collect(json.loads(stored, parse_float=_Number, parse_int=_Number), (), flat)
    except RecursionError:
        # One such sample must not make the list that it stands in unreadable.
        return {"metadata": "nested too deeply to be shown"}
    return flat


def _collect(value: dict[str, Any], parents: tuple[str, ...], flat: dict[str, str]) -> None:
    for name, item in value.items():
        keys = (*parents, name)
        if isinstance(item, dict):
            _collect(item, keys, flat)
        else:
            flat[_printed(keys)] = str(item)


def _printed(keys: tuple[str, ...]) -> str:
    first, dot, rest = ".".join(keys).partition(".")
    return first + dot + rest.replace(".", ":")
