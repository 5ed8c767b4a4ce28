"""What paths may do with the values they find: arithmetic, comparisons, functions. Numbers are exact decimals throughout."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from decimal import Context, Decimal, DecimalException, DivisionByZero, Inexact, InvalidOperation, Overflow
from math import isfinite
from typing import Any

__all__ = ["FUNCTIONS", "MISSING", "calculate", "comparing", "number_of", "plain_number"]

# What stands for no result: null is a value of JSON.
MISSING: Any = object()

# Sums and products are exact or are not at all; a quotient that does not end has 28 digits.
_exact = Context(prec=256, Emax=1000, Emin=-1000, traps=[InvalidOperation, Overflow, Inexact])
_quotients = Context(prec=28, traps=[InvalidOperation, DivisionByZero, Overflow])
_matches_number = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII).fullmatch


def number_of(value: Any) -> int | Decimal | None:
    """A JSON number exactly; None for anything else. A float is what its shortest text says (0.1 is one tenth)."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | Decimal):
        return value
    return Decimal(repr(value)) if isinstance(value, float) and isfinite(value) else None


def text_number_of(value: Any) -> int | Decimal | None:
    """The same, and also a text that is nothing but a number: what ``split`` finds is always text."""
    if isinstance(value, str) and len(value) <= 400 and _matches_number(value.strip()):
        return Decimal(value.strip())
    return number_of(value)


def plain_number(number: Decimal) -> int | Decimal:
    """Without zeros at the end; whole numbers as int."""
    return int(number) if number == number.to_integral_value() else number.normalize(_exact)


def calculate(sign: str, left: Any, right: Any) -> Any:
    """The result of ``+ - * /`` on numbers, or of ``+`` on texts; MISSING for anything else, and for a division by zero."""
    if sign == "+" and isinstance(left, str) and isinstance(right, str):
        return left + right
    first, second = number_of(left), number_of(right)
    if first is None or second is None:
        return MISSING
    if sign != "/" and isinstance(first, int) and isinstance(second, int):
        return _INTEGERS[sign](first, second)
    try:
        return plain_number(_DECIMALS[sign](Decimal(first), Decimal(second)))
    except DecimalException:
        return MISSING


_INTEGERS: dict[str, Callable[[int, int], int]] = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_DECIMALS: dict[str, Callable[[Decimal, Decimal], Decimal]] = {
    "+": _exact.add,
    "-": _exact.subtract,
    "*": _exact.multiply,
    "/": _quotients.divide,
}
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def comparing(comparison: str, wanted: str | int | Decimal | bool) -> Callable[[Any], bool]:
    """A test of values against ``wanted``.

    A number is compared as a number with numbers and with texts that are one, a text with texts, true and false with themselves. What
    cannot be compared is unequal.
    """
    compare, unequal = _COMPARISONS[comparison], comparison == "!="
    if isinstance(wanted, str):
        if comparison == "=":
            return lambda value: value == wanted
        return lambda value: compare(value, wanted) if isinstance(value, str) else unequal
    if isinstance(wanted, bool):
        return lambda value: compare(value, wanted) if isinstance(value, bool) else unequal

    def test(value: Any) -> bool:
        number = text_number_of(value)
        return unequal if number is None else compare(number, wanted)

    return test


def _length(value: Any) -> Any:
    return len(value) if isinstance(value, str | list | dict) else MISSING


def _sorted(value: Any) -> Any:
    if not isinstance(value, list | dict):
        return MISSING
    try:
        return sorted(value)
    except TypeError:
        return MISSING


def _split(value: Any, separator: str, index: int, limit: int) -> Any:
    if not isinstance(value, str):
        return MISSING
    parts = value.split(separator, limit)
    return parts[index] if -len(parts) <= index < len(parts) else MISSING


def _substitute(value: Any, pattern: re.Pattern[str], replacement: str) -> Any:
    return pattern.sub(replacement, value) if isinstance(value, str) else MISSING


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else MISSING


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "len": _length,
    "lower": _lower,
    "sorted": _sorted,
    "split": _split,
    "sub": _substitute,
}
