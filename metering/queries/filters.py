"""What a question selects: typed, checked, without any trace of how it was written or how it will be run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from itertools import product

__all__ = ["MetadataMatch", "SampleFilter", "Scope", "TimeBound", "metadata_paths"]

# A key of many parts could be stored in very many ways (see metadata_paths); past this only the plain ones are tried.
_MAX_PATHS = 64


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose data may be seen: the projects, or everybody's when ``projects`` is None (operators)."""

    projects: tuple[str, ...] | None

    def includes(self, project_id: str) -> bool:
        return self.projects is None or project_id in self.projects


@dataclass(frozen=True, slots=True)
class TimeBound:
    """One end of a window; the time itself belongs to the window when ``inclusive``."""

    at: datetime
    inclusive: bool


@dataclass(frozen=True, slots=True)
class MetadataMatch:
    """Metadata at any of ``paths`` equals any of ``values`` (JSON texts)."""

    paths: tuple[tuple[str, ...], ...]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SampleFilter:
    """Samples that all of this holds for; None means: not asked about.

    ``resources``: of any of these, where many are asked about at once.
    ``lower`` and ``upper`` are what samples are compared with; ``lower_asked`` and ``upper_asked`` are the bounds before
    ``search_offset`` moved them, which durations are clamped to.
    """

    meter: str | None = None
    resource: str | None = None
    resources: tuple[str, ...] | None = None
    source: str | None = None
    user: str | None = None
    project: str | None = None
    message_id: str | None = None
    lower: TimeBound | None = None
    upper: TimeBound | None = None
    lower_asked: datetime | None = None
    upper_asked: datetime | None = None
    metadata: tuple[MetadataMatch, ...] = ()

    def for_meter(self, name: str) -> SampleFilter:
        """The same, of this meter only."""
        return replace(self, meter=name)

    def names_series(self) -> bool:
        """Whether it narrows by meter or by whose resource it is, not only by time and state."""
        named = (self.meter, self.resource, self.resources, self.source, self.user, self.project)
        return any(value is not None for value in named)


def metadata_paths(key: str) -> tuple[tuple[str, ...], ...]:
    """Every place where metadata that is asked for as ``key`` may be stored.

    A dot may separate levels or belong to a key; answers print all separators but the first as colons, so a colon may be itself, a
    dot or a level. ``l[0]`` is an item of a list. So ``a.b:c`` is looked for as a→b→c, ``a.b``→c, a→``b.c``, a→``b:c``, and so on.
    """
    parts, separators = _split(key)
    choices = [("", ".") if separator == "." else ("", ":", ".") for separator in separators]
    count = 1
    for choice in choices:
        count *= len(choice)
    if count > _MAX_PATHS:
        choices = [("",)] * len(separators)
    paths = dict.fromkeys(_path(parts, joints) for joints in product(*choices))
    if count > _MAX_PATHS:
        paths[(key,)] = None
    return tuple(paths)


def _split(key: str) -> tuple[list[str], list[str]]:
    parts, separators = [""], []
    for character in key:
        if character in ".:":
            separators.append(character)
            parts.append("")
        else:
            parts[-1] += character
    return parts, separators


def _path(parts: list[str], joints: tuple[str, ...]) -> tuple[str, ...]:
    """Join neighbouring parts where the joint has a character; each result is a level, its ``[n]`` endings levels below it."""
    levels = [parts[0]]
    for joint, part in zip(joints, parts[1:], strict=True):
        if joint:
            levels[-1] += joint + part
        else:
            levels.append(part)
    path: list[str] = []
    for level in levels:
        path.extend(_unindex(level))
    return tuple(path)


def _unindex(level: str) -> list[str]:
    indexes: list[str] = []
    while level.endswith("]"):
        head, bracket, index = level[:-1].rpartition("[")
        if not (bracket and head and index.isascii() and index.isdigit()):
            break
        indexes.insert(0, index)
        level = head
    return [level, *indexes]
