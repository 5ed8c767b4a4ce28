"""meters.yaml: which samples are made of a notification. All definitions whose ``event_type`` matches make samples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from agents.definition_files import BadDefinitions, Listing, Mapping, Mistake, Mistakes, read_definitions
from metering.messages import Sample

from ..notification import Notification
from .samples import (
    Description,
    LeftOut,
    Making,
    MeterDefinition,
    checked_name,
    checked_type,
    checked_unit,
    checked_volume,
)
from .values import PROJECT, USER, Constant, Value, read_value

__all__ = ["MeterDefinitions", "read_meters"]

Report = Callable[[str, str], None]

_REQUIRED = ("name", "event_type", "type", "unit", "volume", "resource_id")
_MULTIPLE = ("name", "type", "unit", "volume", "resource_id", "user_id", "project_id", "timestamp")
_LOOKUPS = (*_MULTIPLE, "metadata")
_KNOWN = (*_REQUIRED, "user_id", "project_id", "timestamp", "metadata", "user_metadata", "lookup")
_LITERALS = {"name": "text", "type": "text", "unit": "text", "volume": "number"}
_CHECKS = {"name": checked_name, "type": checked_type, "unit": checked_unit, "volume": checked_volume}
_PRIORITIES = ("INFO", "SAMPLE")

# Event types are the services' own, a few hundred; someone who makes up new ones shall not fill the memory.
_MAX_KNOWN_EVENT_TYPES = 4096


class MeterDefinitions:
    """The definitions in force, and how many of them each file has.

    ``warnings`` are those of the files that others of the same name put out of force, ``notes`` those that replace one of a later place.
    """

    def __init__(
        self,
        definitions: Iterable[MeterDefinition],
        *,
        source: str,
        warnings: Sequence[Mistake] = (),
        notes: Sequence[Mistake] = (),
        counts: dict[Path, int] | None = None,
    ) -> None:
        self.definitions, self.source = list(definitions), source
        self.warnings, self.notes, self.counts = list(warnings), list(notes), counts or {}
        self._matching: dict[str, list[MeterDefinition]] = {}

    def samples(self, notification: Notification, *, report: Report, note: Report | None = None) -> list[Sample]:
        """The samples of a notification, all of which can travel.

        Only notifications of the priorities INFO and SAMPLE make samples. ``report`` is told the event type, and of which meter what is
        missing or wrong; ``note``, if there is one, what is missing where the definition has a filter.
        """
        if notification.priority not in _PRIORITIES:
            return []
        event_type = notification.event_type
        matching = self._of(event_type)
        if not matching:
            return []
        note = report if note is None else note
        making = Making(notification, self.source)
        samples: list[Sample] = []
        for definition in matching:
            samples += definition.samples(
                making,
                lambda what, name=definition.name: report(event_type, f"meter {name}: {what}"),
                lambda what, name=definition.name: note(event_type, f"meter {name}: {what}"),
            )
        return samples

    def _of(self, event_type: str) -> list[MeterDefinition]:
        matching = self._matching.get(event_type)
        if matching is None:
            if len(self._matching) >= _MAX_KNOWN_EVENT_TYPES:
                self._matching.clear()
            matching = [definition for definition in self.definitions if definition.matches(event_type)]
            self._matching[event_type] = matching
        return matching


def read_meters(places: Sequence[Path], *, source: str) -> MeterDefinitions:
    """Read files and directories of ``*.yaml``, the most important first; ``source`` is that of all samples' resources.

    Of several definitions of one name the one in the earlier place counts: an operator's own before what comes with us. In one place it
    is the one in the earlier file, as files are sorted, and the later in a file; the others are told in ``warnings``. Raises
    BadDefinitions with all that is wrong in all files.
    """
    mistakes: list[Mistake] = []
    warnings: list[Mistake] = []
    notes: list[Mistake] = []
    chosen: dict[str, tuple[MeterDefinition, Path, int]] = {}
    for place in places:
        here: dict[str, tuple[MeterDefinition, Path, int]] = {}
        for path in sorted(place.glob("*.yaml")) if place.is_dir() else [place]:
            found = Mistakes(path)
            for definition, line in reversed(_read_file(path, found)):
                if definition.name in here:
                    _, other, other_line = here[definition.name]
                    where = f"line {other_line}" if other == path else f"{other}:{other_line}"
                    warnings.append(
                        Mistake(path, line, f"meter {definition.name!r} is defined again at {where}, which counts")
                    )
                else:
                    here[definition.name] = (definition, path, line)
            mistakes += sorted(found.found, key=lambda mistake: mistake.line)
        for name, found_here in reversed(here.items()):
            if name in chosen:
                notes.append(_replacing(name, chosen[name], found_here))
            else:
                chosen[name] = found_here
    if mistakes:
        raise BadDefinitions(mistakes)
    counts = Counter(path for _, path, _ in chosen.values())
    definitions = [definition for definition, _, _ in chosen.values()]
    return MeterDefinitions(definitions, source=source, warnings=warnings, notes=notes, counts=counts)


def _replacing(name: str, own: tuple[MeterDefinition, Path, int], other: tuple[MeterDefinition, Path, int]) -> Mistake:
    (_, path, line), (_, other_path, other_line) = own, other
    # An operator's meters.yaml stands above their meters.d.
    is_theirs = other_path.parent in path.parents
    which = f"that of {other_path}:{other_line}" if is_theirs else "the shipped one"
    return Mistake(path, line, f"meter {name!r} replaces {which}")


def _read_file(path: Path, mistakes: Mistakes) -> list[tuple[MeterDefinition, int]]:
    try:
        document = read_definitions(path)
    except BadDefinitions as error:
        mistakes.found += error.mistakes
        return []
    if document is None:
        return []
    entries = document.get("metric") if isinstance(document, Mapping) else None
    if not isinstance(document, Mapping) or set(document) != {"metric"} or not isinstance(entries, Listing | None):
        mistakes.add(1, "expected a list under the key metric, and nothing else")
        return []
    definitions = []
    for number, entry in enumerate(entries or ()):
        line = entries.lines[number]
        definition = _read_definition(entry, line, mistakes)
        if definition is not None:
            definitions.append((definition, line))
    return definitions


def _read_definition(entry: Any, line: int, mistakes: Mistakes) -> MeterDefinition | None:
    if not isinstance(entry, Mapping):
        mistakes.add(line, f"meter {entry!r:.80}: expected a mapping")
        return None
    before = len(mistakes.found)
    for key in entry:
        if key not in _KNOWN:
            mistakes.add(entry.line_of(key), f"unknown key {key!r}; known are {', '.join(_KNOWN)}")
    given = {key: value for key, value in entry.items() if value is not None}
    for key in _REQUIRED:
        if key not in given:
            mistakes.add(entry.line_of(key), f"{key} is missing")
    values: dict[str, Value | None] = {"user_id": USER, "project_id": PROJECT}
    for key in _MULTIPLE:
        if key in given:
            literal = _LITERALS.get(key, "")
            values[key] = read_value(given[key], entry.line_of(key), mistakes, what=key, literal=literal)
    patterns = (
        _read_patterns(given["event_type"], entry.line_of("event_type"), mistakes) if "event_type" in given else []
    )
    description = _read_description(entry, given, values, mistakes)
    lookup = _read_lookup(given.get("lookup"), entry.line_of("lookup"), values, mistakes)
    for key, check in _CHECKS.items():
        value = values.get(key)
        if isinstance(value, Constant):
            try:
                check(value.value)
            except LeftOut as error:
                mistakes.add(entry.line_of(key), str(error))
    if len(mistakes.found) > before:
        return None
    return MeterDefinition(_label(given["name"]), patterns, values, description, lookup)


def _label(name: Any) -> str:
    return name if isinstance(name, str) else str(name.get("path", name) if isinstance(name, Mapping) else name)


def _read_patterns(entry: Any, line: int, mistakes: Mistakes) -> list[re.Pattern[str]]:
    items = entry if isinstance(entry, Listing) else [entry]
    lines = entry.lines if isinstance(entry, Listing) else [line]
    if not items:
        mistakes.add(line, "event_type: expected at least one regular expression")
    patterns = []
    for item, item_line in zip(items, lines, strict=True):
        try:
            patterns.append(re.compile(item))
        except (re.error, TypeError, OverflowError, RecursionError) as error:
            mistakes.add(item_line, f"event_type {item!r:.80}: expected a regular expression: {error}")
    return patterns


def _read_description(
    entry: Mapping, given: dict[str, Any], values: dict[str, Value | None], mistakes: Mistakes
) -> Description:
    """Metadata are a mapping of keys to paths; or one path to an object, which ``lookup`` may name: then it becomes one of ``values``."""
    metadata, user_metadata = given.get("metadata"), given.get("user_metadata")
    source = None
    if user_metadata is not None:
        source = read_value(user_metadata, entry.line_of("user_metadata"), mistakes, what="user_metadata")
    pairs = None
    if isinstance(metadata, Mapping):
        pairs = []
        for key, item in metadata.items():
            if not isinstance(key, str):
                mistakes.add(metadata.line_of(key), f"metadata: key {key!r}: expected text")
            value = read_value(item, metadata.line_of(key), mistakes, what=f"metadata: {key}")
            if value is not None:
                pairs.append((key, value))
    elif isinstance(metadata, str):
        pairs = []
        values["metadata"] = read_value(metadata, entry.line_of("metadata"), mistakes, what="metadata")
        if source is not None:
            line = entry.line_of("user_metadata")
            mistakes.add(line, "user_metadata: expected none where metadata are an object as they are")
    elif metadata is not None:
        expected = "a mapping of keys to paths, or a path to an object"
        mistakes.add(entry.line_of("metadata"), f"metadata {metadata!r:.80}: expected {expected}")
    return Description(repr((metadata, user_metadata)), pairs, source)


def _read_lookup(entry: Any, line: int, values: dict[str, Any], mistakes: Mistakes) -> list[str] | None:
    if entry is None or entry == []:
        return None
    items = entry if isinstance(entry, list) else [entry]
    for item in items:
        if item not in _LOOKUPS:
            mistakes.add(line, f"lookup {item!r:.80}: expected one of {', '.join(_LOOKUPS)}")
            return None
        if item not in values:
            mistakes.add(line, f"lookup {item!r}: there is no such key here")
    if isinstance(values.get("name"), Constant):
        mistakes.add(line, "lookup: expected a name that is a path: it says how many samples there are")
    return [item for item in items if item != "name"]
