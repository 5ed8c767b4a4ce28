"""JSON from outside, read strictly: numbers exact, no key twice, nothing that is not JSON."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

from .errors import shorten

__all__ = ["load_json"]


def load_json(text: str) -> Any:
    """The value, numbers as int and Decimal. Raises ValueError with a text for the sender, also for what is nested too deeply."""
    try:
        return json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unique_keys)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {shorten(ascii(repeated))} stands twice in one object")
    return found
