"""Stored traits as they were signed: ``[{name: {type: value}}, …]`` as a list of traits, each value as text."""

from __future__ import annotations

import json
from typing import Any

from metering.messages import Trait, from_microseconds

__all__ = ["read_trait", "read_traits"]


def read_traits(stored: str) -> list[Trait]:
    """The traits in their order, from the store's JSON text."""
    return [read_trait(entry) for entry in json.loads(stored)]


def read_trait(entry: dict[str, dict[str, Any]]) -> Trait:
    ((name, typed),) = entry.items()
    ((type_name, value),) = typed.items()
    if type_name == "integer":
        text = str(value)
    elif type_name == "float":
        text = repr(float(value))
    elif type_name == "datetime":
        text = from_microseconds(value).replace(tzinfo=None).isoformat()
    else:
        text = value
    return Trait(name, type_name, text)
