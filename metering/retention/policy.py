"""What retention.yaml says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings

__all__ = [
    "SHORTEST",
    "STANDARD",
    "BadRetentionFile",
    "ClassRule",
    "Policy",
    "cutoff",
    "load_policy",
    "parse_duration",
    "read_policy",
]

STANDARD = "standard"
# What is younger than this is below no floor: collectors need not look.
SHORTEST = timedelta(days=1)
_UNITS = {"day": timedelta(days=1), "week": timedelta(weeks=1), "year": timedelta(days=366)}
_matches_duration = re.compile(r"([0-9]{1,5}) (day|week|year)s?").fullmatch
# A class's name is the end of its tables' names, behind ``metering_sample_`` and before the date.
_matches_name = re.compile(r"[a-z][a-z_]{0,23}").fullmatch
_REQUIRED = ("samples", "bodies", "origins", "quarantine")
# A file from before there were events says nothing of them: then they are kept for ever.
_KEYS = (*_REQUIRED, "events", "raw")


class BadRetentionFile(Exception):
    """retention.yaml cannot be used; the text names the file, the value and what was expected."""


@dataclass(frozen=True)
class ClassRule:
    """A class of samples: for how long (None: for ever), and the globs of the meters that belong to it."""

    name: str
    keep: timedelta | None
    meters: tuple[str, ...] = ()


@dataclass(frozen=True)
class Policy:
    """How long each kind of thing is kept; None is for ever."""

    classes: tuple[ClassRule, ...]
    bodies: timedelta | None
    origins: timedelta | None
    quarantine: timedelta | None
    events: timedelta | None = None
    raw: timedelta | None = None

    def class_of(self, meter_name: str) -> str:
        """The name of the class that a new meter belongs to."""
        for rule in self.classes:
            if any(fnmatchcase(meter_name, glob) for glob in rule.meters):
                return rule.name
        return STANDARD

    def keep_of(self, class_name: str) -> timedelta | None:
        """How long samples of a class are kept; for ever where the file names it no more: nothing goes that nobody ordered."""
        return next((rule.keep for rule in self.classes if rule.name == class_name), None)


def read_policy() -> Policy:
    """The policy in force: $CELOMETER_CONFIG_DIR/retention.yaml if it is there, else the shipped one. Raises BadRetentionFile."""
    own = Path(settings.CELOMETER_CONFIG_DIR) / "retention.yaml" if settings.CELOMETER_CONFIG_DIR else None
    return load_policy(own if own and own.exists() else Path(settings.CELOMETER_DEFAULTS_DIR) / "retention.yaml")


def load_policy(path: Path) -> Policy:
    """Read a file. Raises BadRetentionFile."""
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadRetentionFile(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadRetentionFile(f"{path}: not YAML: {error}") from error
    where = str(path)
    _check_keys(document, known=_KEYS, required=_REQUIRED, where=where)
    return Policy(
        classes=_read_classes(document["samples"], where=f"{where}: samples"),
        bodies=parse_duration(document["bodies"], where=f"{where}: bodies"),
        origins=parse_duration(document["origins"], where=f"{where}: origins"),
        quarantine=parse_duration(document["quarantine"], where=f"{where}: quarantine"),
        events=parse_duration(document.get("events", "forever"), where=f"{where}: events"),
        raw=parse_duration(document.get("raw", "forever"), where=f"{where}: raw"),
    )


def parse_duration(value: object, *, where: str) -> timedelta | None:
    """``400 days`` as a time, ``forever`` as None. Raises BadRetentionFile."""
    if value == "forever":
        return None
    match = _matches_duration(value) if isinstance(value, str) else None
    if match is None or int(match[1]) < 1:
        raise BadRetentionFile(f'{where}: {value!r}: expected "N days", "N weeks", "N years" or "forever"')
    return int(match[1]) * _UNITS[match[2]]


def cutoff(now: datetime, keep: timedelta) -> datetime:
    """What is older is past its time; never before the year 1."""
    return (
        datetime.min.replace(tzinfo=now.tzinfo) if keep > now - datetime.min.replace(tzinfo=now.tzinfo) else now - keep
    )


def _read_classes(entries: Any, *, where: str) -> tuple[ClassRule, ...]:
    if not isinstance(entries, dict) or STANDARD not in entries:
        raise BadRetentionFile(f"{where}: expected a mapping of classes, with one named {STANDARD}")
    return tuple(_read_class(name, entry, where=f"{where}: {name}") for name, entry in entries.items())


def _read_class(name: Any, entry: Any, *, where: str) -> ClassRule:
    if not isinstance(name, str) or not _matches_name(name):
        raise BadRetentionFile(f"{where}: expected a name of at most 24 lower-case letters and underscores")
    required = ("keep",) if name == STANDARD else ("keep", "meters")
    _check_keys(entry, known=("keep", "meters"), required=required, where=where)
    meters = entry.get("meters", [])
    if not isinstance(meters, list) or not all(isinstance(glob, str) and glob for glob in meters):
        raise BadRetentionFile(f"{where}: meters {meters!r}: expected a list of globs")
    return ClassRule(name, parse_duration(entry["keep"], where=f"{where}: keep"), tuple(meters))


def _check_keys(mapping: object, *, known: tuple[str, ...], required: tuple[str, ...], where: str) -> None:
    if not isinstance(mapping, Mapping):
        raise BadRetentionFile(f"{where}: {mapping!r}: expected a mapping with {', '.join(required)}")
    for key in mapping:
        if key not in known:
            raise BadRetentionFile(f"{where}: unknown key {key!r}; known are {', '.join(known)}")
    for key in required:
        if key not in mapping:
            raise BadRetentionFile(f"{where}: {key} is missing")
