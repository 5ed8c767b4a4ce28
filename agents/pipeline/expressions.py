"""The arithmetic that operators write in pipeline.yaml: ``100.0 / (10**9 * (resource_metadata.cpu_number or 1))``.

Python's grammar, and of it numbers, names, ``+ - * / // % **``, comparisons, ``and or not`` and parentheses; nothing is ever evaluated
by Python itself. Names are ``volume`` and ``resource_metadata.a.b`` of the sample at hand, or, in arithmetic, those of the latest
sample of a meter: ``$(meter.name)`` is its volume, ``$(meter.name).resource_metadata.a`` another attribute. Numbers are decimals. A number
in a text counts as the number; true and false as 1 and 0. What is missing is false, and cannot be calculated with.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from agents.contract import Sample

from .exact import CalculationFailed

__all__ = ["BadExpression", "Expression", "compile_expression"]

_MAX_LENGTH = 1_000
_MAX_DEPTH = 60
_MAX_EXPONENT = 999
_FIELDS = ("volume", "resource_metadata")
_METER = re.compile(r"\$\(\s*([^()\s]+)\s*\)")
_matches_number = re.compile(r"\s*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\s*\Z", re.ASCII).match

Samples = Mapping[str, Sample]
Evaluate = Callable[[Samples], Any]


class BadExpression(Exception):
    """An expression cannot be used; the text says why."""


class Expression:
    """A compiled expression. ``meters`` are the names in ``$(…)``, in the order of their appearance; a constant names nothing at all."""

    def __init__(self, evaluate: Evaluate, *, meters: tuple[str, ...], is_constant: bool) -> None:
        self._evaluate = evaluate
        self.meters = meters
        self.is_constant = is_constant

    def evaluate(self, samples: Samples) -> Decimal:
        """The value, to be called within ``calculate``. ``samples`` is by meter, or has the one sample at hand under "".

        Raises CalculationFailed, and what the decimal context traps.
        """
        return _number(self._evaluate(samples))


def compile_expression(text: str, *, of_meters: bool) -> Expression:
    """``of_meters``: names are ``$(meter)…``, else those of one sample. Raises BadExpression."""
    if len(text) > _MAX_LENGTH:
        raise BadExpression(f"expected at most {_MAX_LENGTH} characters")
    meters = tuple(dict.fromkeys(_METER.findall(text))) if of_meters else ()
    roots = {f"meter__{number}": meter for number, meter in enumerate(meters)}
    plain = _METER.sub(lambda match: f" meter__{meters.index(match[1])}", text) if of_meters else text
    begin = len(plain) - len(plain.lstrip())
    compiler = _Compiler(plain.strip(), roots if of_meters else None)
    try:
        parsed = _parse(plain.strip())
    except SyntaxError as error:
        place = _original(text, begin + (error.offset or len(plain.strip()) + 1) - 1, meters if of_meters else ())
        what = (error.msg or "").partition(".")[0].replace("invalid syntax", "no arithmetic here")
        raise BadExpression(f"at character {place + 1}: expected an arithmetic expression: {what}") from error
    evaluate = compiler.compile(parsed)
    return Expression(evaluate, meters=meters, is_constant=not compiler.has_names)


def _original(text: str, position: int, meters: tuple[str, ...]) -> int:
    """Where in the text stands what has that position once names are in place of meters."""
    if not meters:
        return min(position, len(text))
    for match in _METER.finditer(text):
        name = len(f" meter__{meters.index(match[1])}")
        if position < match.start() + name:
            return min(position, match.start())
        position += match.end() - match.start() - name
    return min(position, len(text))


def _parse(text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, mode="eval").body
    except SyntaxError as error:
        if "\n" not in text:
            raise
        raise BadExpression("expected an arithmetic expression") from error
    except (ValueError, MemoryError, RecursionError, OverflowError) as error:
        raise BadExpression("expected an arithmetic expression") from error


class _Compiler:
    """Makes closures of those parts of Python's grammar that are allowed."""

    def __init__(self, source: str, meters: Mapping[str, str] | None) -> None:
        self._source = source
        self._meters = meters
        self._depth = 0
        self.has_names = False

    def compile(self, node: ast.expr) -> Evaluate:
        if self._depth >= _MAX_DEPTH:
            raise BadExpression("nested too deeply")
        self._depth += 1
        evaluate = self._compile(node)
        self._depth -= 1
        return evaluate

    def _compile(self, node: ast.expr) -> Evaluate:
        if isinstance(node, ast.Constant):
            return self._constant(node)
        if isinstance(node, ast.Name | ast.Attribute):
            return self._name(node)
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATIONS:
            return self._operation(node)
        if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            work, inner = _UNARY[type(node.op)], self.compile(node.operand)
            return lambda samples: work(inner(samples))
        if isinstance(node, ast.BoolOp):
            return self._choice(node)
        if isinstance(node, ast.Compare) and len(node.ops) == 1 and type(node.ops[0]) in _COMPARISONS:
            return self._comparison(node)
        raise self._refusal(node, "expected numbers, names, + - * / // % **, comparisons, and, or, not")

    def _constant(self, node: ast.Constant) -> Evaluate:
        text = (ast.get_source_segment(self._source, node) or "").replace("_", "")
        if type(node.value) is int:
            number = Decimal(node.value)
        elif type(node.value) is float:
            number = Decimal(text)  # all its digits, not those that a double has room for
        else:
            raise self._refusal(node, "expected a number")
        if not number.is_zero() and abs(number.adjusted()) > _MAX_EXPONENT:
            raise self._refusal(node, f"expected a number of at most {_MAX_EXPONENT} digits")
        return lambda samples: number

    def _name(self, node: ast.expr) -> Evaluate:
        path: list[str] = []
        while isinstance(node, ast.Attribute):
            path.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            raise self._refusal(node, "expected a name before the dot")
        key = ""
        if self._meters is None:
            path.insert(0, node.id)
        elif node.id in self._meters:
            key = self._meters[node.id]
            path = path or ["volume"]
        else:
            raise self._refusal(node, "expected $(meter.name) or $(meter.name).field")
        if path[0] not in _FIELDS or (path[0] == "volume" and len(path) > 1):
            raise BadExpression(f"{'.'.join(path)[:80]!r}: expected volume or resource_metadata.key")
        self.has_names = True
        if path == ["volume"]:
            return lambda samples: Decimal(samples[key].volume)
        keys = tuple(path[1:])
        return lambda samples: _find(samples[key].resource.metadata, keys)

    def _operation(self, node: ast.BinOp) -> Evaluate:
        work, left, right = _OPERATIONS[type(node.op)], self.compile(node.left), self.compile(node.right)
        return lambda samples: work(_number(left(samples)), _number(right(samples)))

    def _choice(self, node: ast.BoolOp) -> Evaluate:
        parts = [self.compile(part) for part in node.values]
        stops_at = isinstance(node.op, ast.Or)

        def choose(samples: Samples) -> Any:
            value = None
            for part in parts:
                value = part(samples)
                if _truth(value) is stops_at:
                    break
            return value

        return choose

    def _comparison(self, node: ast.Compare) -> Evaluate:
        compare = _COMPARISONS[type(node.ops[0])]
        left, right = self.compile(node.left), self.compile(node.comparators[0])
        return lambda samples: Decimal(compare(_number(left(samples)), _number(right(samples))))

    def _refusal(self, node: ast.expr, expected: str) -> BadExpression:
        part = ast.get_source_segment(self._source, node) or ""
        for name, meter in reversed((self._meters or {}).items()):
            part = part.replace(f" {name}", f"$({meter})").replace(name, f"$({meter})")
        return BadExpression(f"{part[:80]!r} is not allowed: {expected}")


def _find(value: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _value(value: Any) -> Any:
    """A value of metadata as expressions see it: the number where it is one or a text of one."""
    if isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, int):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, str) and len(value) <= _MAX_LENGTH and _matches_number(value):
        return Decimal(value.strip())
    return value


def _truth(value: Any) -> bool:
    return bool(_value(value))


def _number(value: Any) -> Decimal:
    number = _value(value)
    if number is None:
        raise CalculationFailed("a name of the expression is missing")
    if not isinstance(number, Decimal) or not number.is_finite():
        raise CalculationFailed(f"{value!r:.80} is no number")
    return number


def _floor(left: Decimal, right: Decimal) -> Decimal:
    """Downwards, as Python's integers and floats do it; Decimal's own goes towards zero."""
    quotient = left // right
    return quotient - 1 if left % right and (left < 0) != (right < 0) else quotient


def _modulo(left: Decimal, right: Decimal) -> Decimal:
    rest = left % right
    return rest + right if rest and (rest < 0) != (right < 0) else rest


def _power(left: Decimal, right: Decimal) -> Decimal:
    if abs(right) > _MAX_EXPONENT:
        raise CalculationFailed(f"a power of more than {_MAX_EXPONENT}")
    return left**right


_OPERATIONS: dict[type, Callable[[Decimal, Decimal], Decimal]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: _floor,
    ast.Mod: _modulo,
    ast.Pow: _power,
}
_UNARY: dict[type, Callable[[Any], Decimal]] = {
    ast.USub: lambda value: -_number(value),
    ast.UAdd: lambda value: +_number(value),
    ast.Not: lambda value: Decimal(not _truth(value)),
}
_COMPARISONS: dict[type, Callable[[Decimal, Decimal], bool]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
