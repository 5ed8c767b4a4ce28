"""What a path is made of, once its text is read (``path_syntax``)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeAlias

__all__ = [
    "Arithmetic",
    "Below",
    "Call",
    "Children",
    "Condition",
    "Expression",
    "Field",
    "Filter",
    "Index",
    "Items",
    "Literal",
    "Nested",
    "Path",
    "Same",
    "Step",
    "Union",
]


@dataclass(frozen=True, slots=True)
class Literal:
    value: str | int | Decimal


@dataclass(frozen=True, slots=True)
class Field:
    """``quoted`` tells a text from a field, where it stands alone beside an operator."""

    name: str
    quoted: bool = False


@dataclass(frozen=True, slots=True)
class Same:
    """A step that leads nowhere else."""


@dataclass(frozen=True, slots=True)
class Children:
    """``*``: the values of an object, the items of a list."""


@dataclass(frozen=True, slots=True)
class Items:
    """``[*]``: the items of a list; what is no list is taken for a list of itself."""


@dataclass(frozen=True, slots=True)
class Index:
    """``[n]``: the nth item of a list, from 0; negative ones count from the end."""

    number: int


@dataclass(frozen=True, slots=True)
class Below:
    """``..``: the step taken from the value and from each object and list in it, the outer before the inner; each is visited once."""

    step: Step


@dataclass(frozen=True, slots=True)
class Condition:
    """``comparison`` "" asks only whether the path leads anywhere."""

    path: Path
    comparison: str = ""
    value: str | int | Decimal | bool = ""


@dataclass(frozen=True, slots=True)
class Filter:
    """``[?…]``: the children that meet all conditions."""

    conditions: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the value at hand, its arguments as they stand."""

    name: str
    arguments: tuple[str | int | re.Pattern[str], ...] = ()


@dataclass(frozen=True, slots=True)
class Nested:
    """``.(…)``: an expression that takes the value at hand for ``@``."""

    expression: Expression


@dataclass(frozen=True, slots=True)
class Path:
    """``start`` is ``$``, ``@`` or an expression."""

    start: str | Expression
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Arithmetic:
    first: Expression
    rest: tuple[tuple[str, Expression], ...]


@dataclass(frozen=True, slots=True)
class Union:
    members: tuple[Expression, ...]


Step: TypeAlias = Field | Same | Children | Items | Index | Below | Filter | Call | Nested
Expression: TypeAlias = Literal | Path | Arithmetic | Union
