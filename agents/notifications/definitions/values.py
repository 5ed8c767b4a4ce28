"""The forms in which a definition names a value: a literal, a path, several paths, or paths with a plugin.

A reader is told what went wrong while a value was looked up through ``tell``; a value that cannot be had is None, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from agents.definition_files import Listing, Mapping, Mistakes

from .path_syntax import BadPath
from .paths import Getter, compile_path
from .plugins import BadPlugin, Plugin, Tell, make_plugin

__all__ = ["PROJECT", "USER", "Constant", "FirstText", "Value", "read_fields", "read_value"]


class Value(Protocol):
    """Where a value comes from. Nulls are no values; 0, false and "" are. ``paths`` are those that are looked up, as they are written."""

    @property
    def paths(self) -> tuple[str, ...]: ...  # an attribute will do as well

    def first(self, document: Any, tell: Tell) -> Any:
        """The first value that is not null; None where there is none."""
        ...

    def all(self, document: Any, tell: Tell) -> list[Any]:
        """All values in order, nulls among them."""
        ...


class Constant:
    """What the file says itself."""

    paths = ()

    def __init__(self, value: Any) -> None:
        self.value = value

    def first(self, document: Any, tell: Tell) -> Any:
        return self.value

    def all(self, document: Any, tell: Tell) -> list[Any]:
        return [self.value]


class _Paths:
    def __init__(self, getters: Sequence[Getter]) -> None:
        self.getters, self.paths = getters, tuple(getter.text for getter in getters)
        self.firsts = [getter.first for getter in getters]

    def first(self, document: Any, tell: Tell) -> Any:
        for first in self.firsts:
            value = first(document)
            if value is not None:
                return value
        return None

    def all(self, document: Any, tell: Tell) -> list[Any]:
        return [value for getter in self.getters for value in getter(document)]


class _Plugged:
    def __init__(self, getters: Sequence[Getter], plugin: Plugin) -> None:
        self.getters, self.plugin, self.paths = getters, plugin, tuple(getter.text for getter in getters)

    def first(self, document: Any, tell: Tell) -> Any:
        return next((value for value in self.all(document, tell) if value is not None), None)

    def all(self, document: Any, tell: Tell) -> list[Any]:
        matches = [match for getter in self.getters for match in getter.matches(document) if match.value is not None]
        return self.plugin(matches, tell)


class FirstText:
    """An id that services put in several places: the first of them that holds a text, and not an empty one."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths
        self.firsts = [compile_path(path).first for path in paths]

    def first(self, document: Any, tell: Tell) -> Any:
        for first in self.firsts:
            value = first(document)
            if value and isinstance(value, str):
                return value
        return None

    def all(self, document: Any, tell: Tell) -> list[Any]:
        return [self.first(document, tell)]


PROJECT = FirstText(
    *("$.payload.project_id", "$.payload.tenant_id", "$.payload.owner", "$.payload.initiator.project_id"),
    *("$.ctxt.project_id", "$.ctxt.project", "$.ctxt.tenant_id", "$.ctxt.tenant"),
)
USER = FirstText(
    *("$.payload.user_id", "$.payload.initiator.user_id", "$.payload.initiator.id", "$.ctxt.user_id", "$.ctxt.user")
)

_begins_as_path = re.compile(r"[(\s]*\$").match
_reads_as_number = re.compile(r"-?[0-9]+(\.[0-9]+)?").fullmatch


def read_value(
    entry: Any, line: int, mistakes: Mistakes, *, what: str, literal: Literal["text", "number", ""] = ""
) -> Value | None:
    """The value that ``entry`` of a file names; None, with a mistake, where it names none.

    Forms: a path; a list of paths, of which the first that leads to something counts; ``{path: …}``; ``{fields: …, plugin: …}``. Where a
    literal is possible, a text is a path only if it begins with ``$``; elsewhere the ``$`` may be missing.
    """
    if isinstance(entry, str) and literal and not _begins_as_path(entry):
        if literal == "text":
            return Constant(entry)
        if _reads_as_number(entry):
            return Constant(entry)
        mistakes.add(line, f"{what} {entry!r}: expected a number or a path, which begins with $")
        return None
    if isinstance(entry, int | float) and not isinstance(entry, bool) and literal == "number":
        return Constant(entry)
    if isinstance(entry, Mapping) and ("path" in entry or "fields" in entry):
        return _read_mapping(entry, mistakes, what=what)
    if isinstance(entry, str | Listing):
        if literal and isinstance(entry, Listing):
            for number, item in enumerate(entry):
                if isinstance(item, str) and not _begins_as_path(item):
                    mistakes.add(entry.lines[number], f"{what} {item!r}: expected a path, which begins with $")
                    return None
        return read_fields(entry, None, line, mistakes, what=what)
    wanted = {"text": "text, ", "number": "a number, ", "": ""}[literal]
    mistakes.add(
        line, f"{what} {entry!r:.80}: expected {wanted}a path, a list of paths, {{path: …}} or {{fields: …, plugin: …}}"
    )
    return None


def _read_mapping(entry: Mapping, mistakes: Mistakes, *, what: str) -> Value | None:
    key = "path" if "path" in entry else "fields"
    known = {"path"} if key == "path" else {"fields", "plugin"}
    for other in entry:
        if other not in known:
            mistakes.add(entry.line_of(other), f"{what}: unknown key {other!r} beside {key}")
            return None
    return read_fields(entry[key], entry.get("plugin"), entry.line_of(key), mistakes, what=what)


def read_fields(fields: Any, plugin: Any, line: int, mistakes: Mistakes, *, what: str) -> Value | None:
    """Paths, one or a list, with or without a plugin; None, with mistakes, where they are none."""
    items = fields if isinstance(fields, list) else [fields]
    lines = fields.lines if isinstance(fields, Listing) else [line]
    if not items:
        mistakes.add(line, f"{what}: expected at least one path")
        return None
    getters = []
    for item, item_line in zip(items, lines, strict=True):
        if not isinstance(item, str):
            mistakes.add(item_line, f"{what} {item!r:.80}: expected a path")
            continue
        try:
            getters.append(compile_path(item))
        except BadPath as error:
            mistakes.add(item_line, f"{what}: {error}")
    if plugin is None:
        return _Paths(getters) if len(getters) == len(items) else None
    try:
        if isinstance(plugin, Mapping):
            if not set(plugin) <= {"name", "parameters"}:
                raise BadPlugin(f"plugin {dict(plugin)!r}: expected a name, or name and parameters")
            made = make_plugin(plugin.get("name"), plugin.get("parameters"))
        else:
            made = make_plugin(plugin, None)
    except BadPlugin as error:
        mistakes.add(plugin.line if isinstance(plugin, Mapping) else line, f"{what}: {error}")
        return None
    return _Plugged(getters, made) if len(getters) == len(items) else None
