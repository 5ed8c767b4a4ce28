"""Traits of events: what a definition says of them, and how a value becomes one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from agents.definition_files import Mapping, Mistakes
from metering.messages import MAX_TRAITS, BadTrait, Trait, TraitType, trait_text

from ..times import read_time
from .operations import number_of, plain_number, text_number_of
from .plugins import Tell
from .values import PROJECT, USER, FirstText, Value, read_fields

__all__ = ["DEFAULT_TRAITS", "TraitDefinition", "read_traits"]

_MAX_TEXT = 255
_MAX_NAME = 255
_TYPES: dict[str, TraitType] = {
    "text": "string",
    "string": "string",
    "int": "integer",
    "integer": "integer",
    "float": "float",
    "datetime": "datetime",
}
_matches_integer = re.compile(r"[+-]?[0-9]{1,64}").fullmatch


class TraitDefinition:
    """A trait: where its value is looked up, first to last, and of what type it is there."""

    def __init__(self, name: str, sources: Sequence[tuple[TraitType, Value]]) -> None:
        self.name, self.sources = name, sources

    def or_else(self, other: TraitDefinition) -> TraitDefinition:
        """The same, looked up in the other's places where there is nothing in its own."""
        return TraitDefinition(self.name, (*self.sources, *other.sources))

    def trait(self, document: Any, tell: Tell) -> Trait | None:
        """The trait, or None: where there is no value, or one that is not of its type, which is told."""
        for type, source in self.sources:
            value = source.first(document, tell)
            if value is None or (value == "" and type != "string"):
                continue
            try:
                # Any text is a trait of this type: most traits are, so nothing more is looked at.
                text = _text(value) if type == "string" else trait_text(type, _CONVERSIONS[type](value))
                return Trait(self.name, type, text)
            except (BadTrait, ValueError, OverflowError, RecursionError) as error:
                tell(f"is left out: {error}")
                return None
        return None


DEFAULT_TRAITS = (
    TraitDefinition("service", [("string", FirstText("$.publisher_id"))]),
    TraitDefinition("request_id", [("string", FirstText("$.ctxt.request_id"))]),
    TraitDefinition("project_id", [("string", PROJECT)]),
    TraitDefinition("tenant_id", [("string", PROJECT)]),
    TraitDefinition("user_id", [("string", USER)]),
)


def read_traits(entry: Any, line: int, mistakes: Mistakes) -> list[TraitDefinition]:
    """The default traits, each looked up as the file says first where it names it, then the file's others."""
    if entry is None:
        return list(DEFAULT_TRAITS)
    if not isinstance(entry, Mapping):
        mistakes.add(line, f"traits {entry!r:.80}: expected a mapping of names to definitions")
        return []
    own = {}
    for name, definition in entry.items():
        trait = _read_trait(name, definition, entry.line_of(name), mistakes)
        if trait is not None:
            own[name] = trait
    if len(own) > MAX_TRAITS - len(DEFAULT_TRAITS):
        mistakes.add(line, f"{len(own)} traits: expected at most {MAX_TRAITS - len(DEFAULT_TRAITS)}")
    defaults = [own[trait.name].or_else(trait) if trait.name in own else trait for trait in DEFAULT_TRAITS]
    names = {trait.name for trait in DEFAULT_TRAITS}
    return defaults + [trait for trait in own.values() if trait.name not in names]


def _read_trait(name: Any, entry: Any, line: int, mistakes: Mistakes) -> TraitDefinition | None:
    if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
        mistakes.add(line, f"trait {name!r:.80}: expected a name of at most {_MAX_NAME} characters")
        return None
    if not isinstance(entry, Mapping) or "fields" not in entry or not set(entry) <= {"fields", "type", "plugin"}:
        mistakes.add(line, f"trait {name}: {entry!r:.80}: expected fields, and perhaps type and plugin")
        return None
    type = entry.get("type", "text")
    if type not in _TYPES:
        mistakes.add(entry.line_of("type"), f"trait {name}: type {type!r:.80}: expected text, int, float or datetime")
        return None
    source = read_fields(entry["fields"], entry.get("plugin"), entry.line_of("fields"), mistakes, what=f"trait {name}")
    return None if source is None else TraitDefinition(name, [(_TYPES[type], source)])


def _text(value: Any) -> str:
    if type(value) is str and value.isascii() and len(value) <= _MAX_TEXT and "\0" not in value:
        return value
    text = msgspec.json.encode(value).decode() if isinstance(value, list | dict) else str(value)
    text = text[:_MAX_TEXT]
    text.encode()  # half a character raises
    if "\0" in text:
        raise ValueError(f"value {text!r:.80}: expected text without the character NUL")
    return text


def _integer(value: Any) -> Any:
    if isinstance(value, str) and _matches_integer(value.strip()):
        return int(value)
    if isinstance(value, bool):
        return int(value)
    number = number_of(value)
    return plain_number(number) if isinstance(number, Decimal) else value


def _float(value: Any) -> Any:
    if isinstance(value, bool):
        return float(value)
    number = text_number_of(value)
    return value if number is None else float(number)


_CONVERSIONS: dict[TraitType, Callable[[Any], Any]] = {
    "integer": _integer,
    "float": _float,
    "datetime": read_time,
}
