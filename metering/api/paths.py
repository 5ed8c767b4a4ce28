"""Paths of single things, and names read back from them.

Servers decode ``%2F`` before a path is taken apart, so a name with a slash is escaped twice; names in paths are decoded once more.
"""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote, unquote

from .errors import Unacceptable

__all__ = ["alarm_path", "event_path", "meter_path", "name_in_path", "resource_path", "sample_path"]


@lru_cache(maxsize=4096)
def meter_path(name: str) -> str:
    # Remembered: a list of resources names the same few meters again and again.
    return f"/v2/meters/{_escaped(name)}"


def resource_path(resource_id: str) -> str:
    return f"/v2/resources/{_escaped(resource_id)}"


def sample_path(sample_id: str) -> str:
    return f"/v2/samples/{_escaped(sample_id)}"


def event_path(message_id: str) -> str:
    return f"/v2/events/{_escaped(message_id)}"


def alarm_path(alarm_id: str) -> str:
    return f"/v2/alarms/{_escaped(alarm_id)}"


def _escaped(name: str) -> str:
    once = quote(name, safe="")
    return quote(once, safe="") if "/" in name or "%" in name else once


def name_in_path(text: str) -> str:
    """The name that a path's part stands for. Raises Unacceptable for one that nothing can have."""
    name = unquote(text)
    if "\x00" in name:
        raise Unacceptable("The path holds the character NUL", code="bad_path", value=name.replace("\x00", "\\0"))
    return name
