"""Choosing meters and event types by shell globs: one grammar for polling.yaml, pipeline.yaml and event_pipeline.yaml.

A list names what is wanted (``cpu``, ``disk.*``), or all (``*``), and may leave out with ``!glob``; a list of nothing but exclusions wants
the rest. Names and exclusions in one list say two things at once and are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

__all__ = ["glob_problem", "is_wanted"]


def is_wanted(name: str, globs: Sequence[str]) -> bool:
    """A matching ``!glob`` denies, then a matching glob allows; exclusions alone allow all they do not name."""
    if any(fnmatchcase(name, glob[1:]) for glob in globs if glob.startswith("!")):
        return False
    allowed = [glob for glob in globs if not glob.startswith("!")]
    return not allowed or any(fnmatchcase(name, glob) for glob in allowed)


def glob_problem(globs: Sequence[str]) -> str:
    """Why these globs do not go together; "" when they do. Reads on after the name of the list: ``meters`` …"""
    denied = [glob for glob in globs if glob.startswith("!")]
    plain = [glob for glob in globs if not glob.startswith("!") and glob != "*"]
    if "!" in denied:
        return "may not hold '!' with nothing to exclude behind it"
    if denied and plain:
        return f"may not mix {plain[0]!r} with the exclusion {denied[0]!r}"
    if "*" in globs and plain:
        return f"may not mix '*' with {plain[0]!r}"
    return ""
