"""YAML files that operators write, read so that every mistake can be told with its line.

``read_definitions`` gives plain values, only that mappings and lists know where their entries stand. A reader of one kind of file collects
what is wrong in ``Mistakes`` and raises all of it at once: an operator mends a file in one go.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml

__all__ = ["BadDefinitions", "Listing", "Mapping", "Mistake", "Mistakes", "collect", "read_definitions"]

Read = TypeVar("Read")


class Mistake(NamedTuple):
    """One thing that is wrong in a file; ``line`` counts from 1, 0 where the file as a whole is meant."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}" if self.line else f"{self.path}: {self.text}"


class BadDefinitions(Exception):
    """A file cannot be used; ``mistakes`` names every reason with its line."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = mistakes


class Mapping(dict[str, Any]):
    """A mapping of the file; ``line`` is its own, ``line_of`` an entry's."""

    line: int
    lines: dict[Hashable, int]

    def line_of(self, key: Hashable) -> int:
        return self.lines.get(key, self.line)


class Listing(list[Any]):
    """A list of the file; ``lines`` are its entries'."""

    line: int
    lines: list[int]


class Mistakes:
    """What is wrong in one file, as it is found."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: list[Mistake] = []

    def add(self, line: int, text: str) -> None:
        self.found.append(Mistake(self.path, line, text))

    def raise_if_any(self) -> None:
        """Raise BadDefinitions with all that was found, in the order of the file."""
        if self.found:
            raise BadDefinitions(sorted(self.found, key=lambda mistake: mistake.line))


def collect(mistakes: list[Mistake], read: Callable[[], Read]) -> Read | None:
    """What ``read`` gives; None where it raises BadDefinitions, whose mistakes are added: one bad file keeps no other from being read."""
    try:
        return read()
    except BadDefinitions as error:
        mistakes += error.mistakes
        return None


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """The safe loader, with lines; a key that stands twice is a mistake, not the second's silent victory."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Mapping:
    own = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
    for number, name in enumerate(own):
        if name in own[:number]:
            raise yaml.constructor.ConstructorError(None, None, f"the key {name!r} stands twice", node.start_mark)
    loader.flatten_mapping(node)
    mapping = Mapping()
    mapping.line, mapping.lines = node.start_mark.line + 1, {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, Hashable):
            raise yaml.constructor.ConstructorError(None, None, "a key that is no text", key_node.start_mark)
        mapping[key] = loader.construct_object(value_node, deep=True)
        mapping.lines[key] = key_node.start_mark.line + 1
    return mapping


def _listing(loader: _Loader, node: yaml.SequenceNode) -> Listing:
    listing = Listing(loader.construct_object(child, deep=True) for child in node.value)
    listing.line, listing.lines = node.start_mark.line + 1, [child.start_mark.line + 1 for child in node.value]
    return listing


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:seq", _listing)


def read_definitions(path: Path) -> Any:
    """The file's document, None where it is empty. Raises BadDefinitions."""
    try:
        text = path.read_text()
    except OSError as error:
        raise BadDefinitions([Mistake(path, 0, error.strerror or str(error))]) from error
    except UnicodeDecodeError as error:
        raise BadDefinitions([Mistake(path, 0, f"not UTF-8: {error}")]) from error
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise BadDefinitions([Mistake(path, line, f"not YAML: {error.problem}{_hint(error, text)}")]) from error
    except yaml.YAMLError as error:
        raise BadDefinitions([Mistake(path, 0, f"not YAML: {error}")]) from error


def _hint(error: yaml.MarkedYAMLError, text: str) -> str:
    """What was most likely meant, for what is written wrong most often."""
    mark, lines = error.problem_mark, text.splitlines()
    if not mark or mark.line >= len(lines) or isinstance(error, yaml.constructor.ConstructorError):
        return ""
    line = lines[mark.line]
    if "\t" in line[: len(line) - len(line.lstrip())] or line[mark.column : mark.column + 1] == "\t":
        return "; indent with blanks, not with tabs"
    if _path_with_bracket.search(line[: mark.column + 1]):
        return "; within { } or [ ] a path with [ needs quotes around it"
    # An alias is told where its name should be.
    column = mark.column - (error.context == "while scanning an alias" and line[mark.column : mark.column + 1] != "*")
    sign = line[column : column + 1]
    return f"; a text that begins with {sign} needs quotes around it" if sign and sign in "*&!%@`" else ""


_path_with_bracket = re.compile(r"[\w.$@\]]\[")
