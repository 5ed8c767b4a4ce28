"""Paths into JSON documents, compiled once to plain closures (the language: ``path_syntax``).

Results come in the order of the document, nulls among them. What does not fit, a field of a list or the third item of two, is no error:
there is no result.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from .operations import FUNCTIONS, MISSING, calculate, comparing
from .path_parts import (
    Arithmetic,
    Below,
    Call,
    Children,
    Condition,
    Expression,
    Field,
    Filter,
    Index,
    Items,
    Literal,
    Nested,
    Path,
    Same,
    Step,
)
from .path_syntax import BadPath, parse_path

__all__ = ["BadPath", "Getter", "Match", "Place", "compile_path", "read_place"]

Place: TypeAlias = tuple[str | int, ...]


class Match(NamedTuple):
    """A value and where it stands: the keys and indices that lead to it from the document, () for what was calculated."""

    path: Place
    value: Any


class Getter:
    """A compiled path. Called with a document it returns the values found.

    ``first(document)`` is the first that is not null, None where there is none: the fastest way to one value.
    """

    __slots__ = ("_locate", "_values", "first", "text")

    def __init__(self, text: str, expression: Expression) -> None:
        self.text = text
        self._locate = _compile(expression)
        names = _plain_names(expression)
        self.first, self._values = _field_getters(names) if names is not None else _node_getters(self._locate)

    def __call__(self, document: Any) -> list[Any]:
        return self._values(document)

    def matches(self, document: Any) -> list[Match]:
        """The values with their places."""
        root: Node = (None, document)
        return [Match(_place(location), value) for location, value in self._locate(root, root)]

    def __repr__(self) -> str:
        return f"Getter({self.text!r})"


@lru_cache(maxsize=4096)
def compile_path(text: str) -> Getter:
    """Raises BadPath, which names the place and what was expected there."""
    return Getter(text, parse_path(text))


def read_place(text: str) -> Place:
    """The place that a path of fields and numbers means, as ``matches`` gives it. Raises BadPath."""
    expression = parse_path(text)
    if not isinstance(expression, Path) or not isinstance(expression.start, str):
        raise BadPath(text, 0, "a path")
    place: list[str | int] = []
    for step in expression.steps:
        if isinstance(step, Field):
            place.append(step.name)
        elif isinstance(step, Index) and step.number >= 0:
            place.append(step.number)
        elif not isinstance(step, Same):
            raise BadPath(text, 0, "a path of nothing but fields and numbers")
    return tuple(place)


# A value with its location: None for the document itself and for what was calculated, else (location of what it stands in, key).
Location: TypeAlias = "tuple[Location, str | int] | None"
Node: TypeAlias = tuple[Location, Any]
Locate: TypeAlias = Callable[[Node, Node], list[Node]]  # (value at hand, document)
Walk: TypeAlias = Callable[[list[Node], Node], list[Node]]  # (values at hand, document)


def _place(location: Location) -> Place:
    keys: list[str | int] = []
    while location is not None:
        location, key = location
        keys.append(key)
    return tuple(reversed(keys))


def _plain_names(expression: Expression) -> tuple[str, ...] | None:
    """The fields of a path that is nothing but fields."""
    if not isinstance(expression, Path) or not isinstance(expression.start, str):
        return None
    steps = [step for step in expression.steps if not isinstance(step, Same)]
    names = tuple(step.name for step in steps if isinstance(step, Field))
    return names if len(names) == len(steps) else None


def _field_getters(names: tuple[str, ...]) -> tuple[Callable[[Any], Any], Callable[[Any], list[Any]]]:
    # Only an object has an item under a text: all else raises.
    def first(value: Any) -> Any:
        try:
            for name in names:
                value = value[name]
        except (KeyError, TypeError):
            return None
        return value

    def values(value: Any) -> list[Any]:
        try:
            for name in names:
                value = value[name]
        except (KeyError, TypeError):
            return []
        return [value]

    return first, values


def _node_getters(locate: Locate) -> tuple[Callable[[Any], Any], Callable[[Any], list[Any]]]:
    def first(document: Any) -> Any:
        root: Node = (None, document)
        for _, value in locate(root, root):
            if value is not None:
                return value
        return None

    def values(document: Any) -> list[Any]:
        root: Node = (None, document)
        return [value for _, value in locate(root, root)]

    return first, values


def _compile(expression: Expression) -> Locate:
    if isinstance(expression, Literal):
        found: list[Node] = [(None, expression.value)]
        return lambda node, root: found
    if isinstance(expression, Path):
        return _compile_path(expression)
    if isinstance(expression, Arithmetic):
        return _compile_arithmetic(expression)
    members = [_compile(member) for member in expression.members]
    return lambda node, root: [found for member in members for found in member(node, root)]


def _compile_path(path: Path) -> Locate:
    walks = [_compile_step(step) for step in path.steps if not isinstance(step, Same)]
    begin = None if isinstance(path.start, str) else _compile(path.start)
    from_root = path.start == "$"

    def locate(node: Node, root: Node) -> list[Node]:
        nodes = [root if from_root else node] if begin is None else begin(node, root)
        for walk in walks:
            nodes = walk(nodes, root)
        return nodes

    return locate


def _compile_values(expression: Expression) -> Callable[[Any, Any], list[Any]]:
    """The same without locations, from the value at hand and the document to values."""
    if isinstance(expression, Literal):
        literal = [expression.value]
        return lambda value, document: literal
    names = _plain_names(expression)
    if names is not None:
        values, from_root = _field_getters(names)[1], expression.start == "$"
        return lambda value, document: values(document if from_root else value)
    locate = _compile(expression)
    return lambda value, document: [found for _, found in locate((None, value), (None, document))]


def _compile_arithmetic(arithmetic: Arithmetic) -> Locate:
    first = _compile_values(arithmetic.first)
    rest = [(sign, _compile_values(operand), isinstance(operand, Literal)) for sign, operand in arithmetic.rest]
    first_is_literal = isinstance(arithmetic.first, Literal)

    def locate(node: Node, root: Node) -> list[Node]:
        value, document = node[1], root[1]
        values, is_literal = first(value, document), first_is_literal
        for sign, operand, operand_is_literal in rest:
            values = _calculate_all(sign, values, operand(value, document), is_literal, operand_is_literal)
            is_literal = is_literal and operand_is_literal
        return [(None, value) for value in values]

    return locate


def _calculate_all(
    sign: str, left: list[Any], right: list[Any], left_is_literal: bool, right_is_literal: bool
) -> list[Any]:
    """One by one; a literal goes with all.

    Pairs without a result are null, so that the others keep their places; where none has one, there is nothing.
    """
    if left_is_literal:
        left = left * len(right)
    elif right_is_literal:
        right = right * len(left)
    if len(left) != len(right):
        return []
    results = [calculate(sign, first, second) for first, second in zip(left, right, strict=True)]
    if MISSING not in results:
        return results
    if all(result is MISSING for result in results):
        return []
    return [None if result is MISSING else result for result in results]


def _compile_step(step: Step) -> Walk:
    match step:
        case Field(name):
            return lambda nodes, root: [
                ((location, name), value[name])
                for location, value in nodes
                if isinstance(value, dict) and name in value
            ]
        case Children():
            return lambda nodes, root: [child for node in nodes for child in _children(node)]
        case Items():
            return lambda nodes, root: [
                item for node in nodes for item in (_children(node) if isinstance(node[1], list) else (node,))
            ]
        case Index(number):
            return _index_walk(number)
        case Below(inner):
            return _below_walk(inner)
        case Filter(conditions):
            return _filter_walk(conditions)
        case Call(name, arguments):
            return _call_walk(FUNCTIONS[name], arguments)
        case Nested(expression):
            inner = _compile(expression)
            return lambda nodes, root: [found for node in nodes for found in inner(node, root)]
    return lambda nodes, root: nodes


def _children(node: Node) -> list[Node]:
    location, value = node
    if isinstance(value, dict):
        return [((location, key), child) for key, child in value.items()]
    if isinstance(value, list):
        return [((location, number), child) for number, child in enumerate(value)]
    return []


def _index_walk(number: int) -> Walk:
    def walk(nodes: list[Node], root: Node) -> list[Node]:
        found: list[Node] = []
        for location, value in nodes:
            if isinstance(value, list) and -len(value) <= number < len(value):
                found.append(((location, number if number >= 0 else number + len(value)), value[number]))
        return found

    return walk


def _below_walk(inner: Step) -> Walk:
    # ``..[*]`` takes lists alone: here it would give every object itself once more.
    take = _compile_step(inner)
    lists_only = isinstance(inner, Items)

    def walk(nodes: list[Node], root: Node) -> list[Node]:
        # A JSON document holds each object and list in one place, so they are told apart by identity.
        seen: set[int] = set()
        found: list[Node] = []
        for start in nodes:
            waiting = [start]
            while waiting:
                node = waiting.pop()
                value = node[1]
                if not isinstance(value, dict | list) or id(value) in seen:
                    continue
                seen.add(id(value))
                if not lists_only or isinstance(value, list):
                    found.append(node)
                waiting.extend(reversed(_children(node)))
        return take(found, root)

    return walk


def _filter_walk(conditions: tuple[Condition, ...]) -> Walk:
    tests = [_compile_condition(condition) for condition in conditions]
    first, others = tests[0], tests[1:]

    def walk(nodes: list[Node], root: Node) -> list[Node]:
        document = root[1]
        children = [child for node in nodes for child in _children(node) if first(child[1], document)]
        for test in others:
            children = [child for child in children if test(child[1], document)]
        return children

    return walk


def _compile_condition(condition: Condition) -> Callable[[Any, Any], bool]:
    values = _compile_values(condition.path)
    if not condition.comparison:
        return lambda value, document: bool(values(value, document))
    is_wanted = comparing(condition.comparison, condition.value)
    names = _plain_names(condition.path)
    if names is None or condition.path.start == "$":
        return lambda value, document: any(map(is_wanted, values(value, document)))

    def test(value: Any, document: Any) -> bool:
        try:
            for name in names:
                value = value[name]
        except (KeyError, TypeError):
            return False
        return is_wanted(value)

    return test


def _call_walk(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Walk:
    def walk(nodes: list[Node], root: Node) -> list[Node]:
        results = [(location, function(value, *arguments)) for location, value in nodes]
        return [result for result in results if result[1] is not MISSING]

    return walk
