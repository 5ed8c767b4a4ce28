"""events.yaml: which event is made of a notification, and with which traits.

The list is searched from its end, and the first item that matches makes the event: general rules stand first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from agents.definition_files import Listing, Mapping, Mistake, Mistakes, read_definitions
from metering.messages import EMPTY_RAW, MAX_RAW_BYTES, Event, event_problem

from ..notification import Notification
from .globs import Globs
from .traits import DEFAULT_TRAITS, TraitDefinition, read_traits

__all__ = ["EventDefinition", "EventDefinitions", "read_events"]

Report = Callable[[str, str], None]

_PRIORITIES = ("INFO", "ERROR")
# Polled samples on their way through the bus: nothing happened.
_NO_EVENTS = ("telemetry.polling",)
_MAX_KNOWN_EVENT_TYPES = 4096
# One general rule at the end of a long file puts all others out of force.
_MOST_WARNINGS = 5


class EventDefinition:
    """One item of the file."""

    def __init__(self, globs: Globs, traits: Sequence[TraitDefinition], line: int = 0) -> None:
        self.globs, self.traits, self.line = globs, traits, line


class EventDefinitions:
    """The definitions in force. ``warnings`` are those that no notification can ever reach."""

    def __init__(
        self,
        definitions: Iterable[EventDefinition],
        *,
        source: str,
        drop_unmatched: bool = False,
        warnings: Sequence[Mistake] = (),
    ) -> None:
        unmatched = [] if drop_unmatched else [EventDefinition(Globs([]), DEFAULT_TRAITS)]
        self.definitions, self.source, self.warnings = [*unmatched, *definitions], source, list(warnings)
        self._chosen: dict[str, EventDefinition | None] = {}

    def event(self, notification: Notification, *, report: Report) -> Event | None:
        """The event of a notification, which can travel; None where there is none.

        Only notifications of the priorities INFO and ERROR are events. ``report`` is told the event type and what is wrong; a trait that
        cannot be made is left out, and so is a payload that is too large; an event that no collector would take is not made.
        """
        event_type = notification.event_type
        if notification.priority not in _PRIORITIES or event_type in _NO_EVENTS:
            return None
        definition = self._of(event_type)
        if definition is None:
            return None
        document = notification.document()
        traits = []
        for trait_definition in definition.traits:
            trait = trait_definition.trait(
                document, lambda what, name=trait_definition.name: report(event_type, f"trait {name}: {what}")
            )
            if trait is not None:
                traits.append(trait)
        event = Event(
            id=notification.message_id,
            type=event_type,
            source=self.source,
            generated=notification.timestamp,
            traits=traits,
            raw=_raw(notification, report),
        )
        problem = event_problem(event)
        if problem:
            report(event_type, f"no event: {problem}")
            return None
        return event

    def _of(self, event_type: str) -> EventDefinition | None:
        if event_type not in self._chosen:
            if len(self._chosen) >= _MAX_KNOWN_EVENT_TYPES:
                self._chosen.clear()
            matching = (item for item in reversed(self.definitions) if item.globs.match(event_type))
            self._chosen[event_type] = next(matching, None)
        return self._chosen[event_type]


def _raw(notification: Notification, report: Report) -> msgspec.Raw:
    raw_bytes = len(memoryview(notification.raw))
    if raw_bytes <= MAX_RAW_BYTES:
        return notification.raw
    where = notification.event_type
    report(where, f"a payload of more than {MAX_RAW_BYTES} bytes is left out, its event has the traits alone")
    return EMPTY_RAW


def read_events(path: Path, *, source: str, drop_unmatched: bool = False) -> EventDefinitions:
    """Read a file; ``source`` is that of all events.

    What no item matches becomes an event with the default traits, or none with ``drop_unmatched``. Raises BadDefinitions with all that
    is wrong.
    """
    mistakes = Mistakes(path)
    document = read_definitions(path)
    definitions = []
    if document is not None and not isinstance(document, Listing):
        mistakes.add(1, "expected a list of definitions")
    elif document is not None:
        for entry, line in zip(document, document.lines, strict=True):
            definition = _read_definition(entry, line, mistakes)
            if definition is not None:
                definitions.append(definition)
    mistakes.raise_if_any()
    warnings = [Mistake(path, line, text) for line, text in _shadowed(definitions)]
    if len(warnings) > _MOST_WARNINGS:
        more = len(warnings) - _MOST_WARNINGS
        warnings[_MOST_WARNINGS:] = [Mistake(path, 0, f"and {more} more rules are never reached")]
    return EventDefinitions(definitions, source=source, drop_unmatched=drop_unmatched, warnings=warnings)


def _read_definition(entry: Any, line: int, mistakes: Mistakes) -> EventDefinition | None:
    if not isinstance(entry, Mapping):
        mistakes.add(line, f"{entry!r:.80}: expected a mapping with event_type and traits")
        return None
    for key in entry:
        if key not in ("event_type", "traits"):
            mistakes.add(entry.line_of(key), f"unknown key {key!r}; known are event_type, traits")
    globs = entry.get("event_type")
    globs = globs if isinstance(globs, list) else [globs]
    if not globs or not all(isinstance(glob, str) and glob.removeprefix("!") for glob in globs):
        line_of_globs = entry.line_of("event_type")
        mistakes.add(line_of_globs, f"event_type {entry.get('event_type')!r:.80}: expected a glob or a list of globs")
        return None
    return EventDefinition(Globs(globs), read_traits(entry.get("traits"), entry.line_of("traits"), mistakes), line)


def _shadowed(definitions: Sequence[EventDefinition]) -> Iterable[tuple[int, str]]:
    for number, definition in enumerate(definitions):
        later = definitions[number + 1 :]
        shadowing = definition.globs.are_shadowed_by([item.globs for item in later])
        if shadowing:
            lines = [str(item.line) for item in later if item.globs in shadowing]
            where = f"line{'s' if len(lines) > 1 else ''} {', '.join(lines)}"
            globs = f"{', '.join(definition.globs.included):.80}"
            yield (
                definition.line,
                f"rule {globs!r} is never reached: all that it matches is taken by {where} further down",
            )
