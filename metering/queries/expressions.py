"""A complex query as SQL: the one place that knows both. Aliases as in ``conditions``.

What cannot be decided is NULL, as SQL has it: a sample without a metadata key, or with a value of another type under it, or
without an owner, is found neither by a comparison with it nor by that comparison's negation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from metering.messages import batch_of

from .complex import Comparison, Expression, Junction, Negation, Value, find_comparisons
from .conditions import BATCH_ID, parse_sample_id
from .database import Statement
from .filters import SampleFilter, TimeBound, metadata_paths

__all__ = ["COLUMNS", "Column", "Conditions", "find_patterns", "find_window", "names_one", "split_conditions"]


class Column(NamedTuple):
    """Where a field stands: the SQL, and the alias of its table."""

    sql: str
    table: str


COLUMNS: Mapping[str, Column] = {
    "meter": Column("m.name", "m"),
    "type": Column("m.type", "m"),
    "unit": Column("m.unit", "m"),
    "user": Column("r.user_id", "r"),
    "project": Column("r.project_id", "r"),
    "resource": Column("r.resource_id", "r"),
    "source": Column("r.source", "r"),
    "timestamp": Column("s.timestamp", "s"),
    "volume": Column("s.volume", "s"),
    "message_id": Column("s.id", "s"),
    "recorded_at": Column(f"(SELECT b.recorded_at FROM metering_batch b WHERE b.id = {BATCH_ID})", "s"),
    # Signed is the batch: its samples share its signature.
    "message_signature": Column(
        f"(SELECT encode(b.signature, 'hex') FROM metering_batch b WHERE b.id = {BATCH_ID})", "s"
    ),
    "resource_metadata": Column("st.metadata::text", "st"),
}
_SERIES_TABLES = frozenset({"m", "r"})
_OPERATORS = {"!=": "<>", "=~": "~"}
# How values of each type stand in JSON: the type's name there, and what they are compared as.
_JSON_TYPES: Mapping[type, tuple[str, str]] = {
    str: ("string", "text"),
    Decimal: ("number", "numeric"),
    bool: ("boolean", "boolean"),
}


class Conditions(NamedTuple):
    """The parts of an expression that must all hold, by what they look at: conditions that begin with `` AND``.

    ``samples`` are all that look at samples other than by their time alone, or at several tables; these are in ``tables``.
    """

    series: Statement = Statement("")
    window: Statement = Statement("")
    states: Statement = Statement("")
    samples: Statement = Statement("")
    tables: frozenset[str] = frozenset()


def split_conditions(expression: Expression) -> Conditions:
    """The expression, taken apart at its own ``and``."""
    found = Conditions()
    for part in _conjuncts(expression):
        condition = Statement(" AND ").then_all(_compile(part))
        tables = _tables_of(part)
        if tables <= _SERIES_TABLES:
            found = found._replace(series=found.series.then_all(condition))
        elif tables == {"st"}:
            found = found._replace(states=found.states.then_all(condition))
        elif isinstance(part, Comparison) and part.field == "timestamp":
            found = found._replace(window=found.window.then_all(condition))
        else:
            found = found._replace(samples=found.samples.then_all(condition), tables=found.tables | tables - {"s"})
    return found


def names_one(expression: Expression) -> bool:
    """Whether it says outright of which resource it wants samples, or which sample."""
    return any(
        isinstance(part, Comparison) and part.operator == "=" and part.field in {"resource", "message_id"}
        for part in _conjuncts(expression)
    )


def _tables_of(expression: Expression) -> frozenset[str]:
    """The aliases of the tables that it looks at."""
    return frozenset("st" if leaf.metadata_key else COLUMNS[leaf.field].table for leaf in find_comparisons(expression))


def find_patterns(expression: Expression) -> list[str]:
    """Its regular expressions."""
    return [str(leaf.values[0]) for leaf in find_comparisons(expression) if leaf.operator == "=~"]


def find_window(expression: Expression) -> SampleFilter:
    """The meter and the window that every sample it finds lies in, as far as it says so outright."""
    meter: str | None = None
    lower: list[TimeBound] = []
    upper: list[TimeBound] = []
    for part in _conjuncts(expression):
        if not isinstance(part, Comparison):
            continue
        value = part.values[0]
        if part.field == "meter" and part.operator == "=":
            meter = str(value)
        elif part.field == "timestamp" and isinstance(value, datetime):
            for bounds, signs in ((lower, {">", ">=", "="}), (upper, {"<", "<=", "="})):
                if part.operator in signs:
                    bounds.append(TimeBound(value, inclusive="=" in part.operator))
    return SampleFilter(
        meter=meter,
        lower=max(lower, key=lambda bound: bound.at, default=None),
        upper=min(upper, key=lambda bound: bound.at, default=None),
    )


def _conjuncts(expression: Expression) -> list[Expression]:
    if isinstance(expression, Junction) and expression.word == "and":
        return [conjunct for part in expression.parts for conjunct in _conjuncts(part)]
    return [expression]


def _compile(expression: Expression) -> Statement:
    if isinstance(expression, Negation):
        return Statement("NOT ").then_all(_compile(expression.part))
    if isinstance(expression, Junction):
        joined = Statement("(")
        for number, part in enumerate(expression.parts):
            joined = joined.then(f" {expression.word.upper()} " if number else "").then_all(_compile(part))
        return joined.then(")")
    return _compile_comparison(expression)


def _compile_comparison(leaf: Comparison) -> Statement:
    if leaf.metadata_key:
        return _compile_metadata(leaf)
    column = COLUMNS[leaf.field].sql
    if leaf.field == "message_id":
        return _compile_id(leaf, column)
    if leaf.operator == "in":
        kind = "numeric" if leaf.field == "volume" else "text"
        return Statement(f"({column} = ANY(%s::{kind}[]))", (list(leaf.values),))
    return Statement(f"({column} {_operator(leaf)} %s)", leaf.values)


def _operator(leaf: Comparison) -> str:
    return _OPERATORS.get(leaf.operator, leaf.operator)


def _compile_id(leaf: Comparison, column: str) -> Statement:
    """Ids are compared as they are printed. One that is asked for outright is looked for where the ledger says it lies."""
    ids = [parsed for value in leaf.values if (parsed := parse_sample_id(str(value)))]
    if leaf.operator in {"=", "in"}:
        held = [_compile_sample(sample, column) for sample in ids]
        return _either(held) if held else Statement("false")
    if leaf.operator == "!=":
        return Statement(f"({column} <> %s)", (ids[0],)) if ids else Statement("true")
    return Statement(f'({column}::text {_operator(leaf)} %s COLLATE "C")', leaf.values)


def _compile_sample(sample: UUID, column: str) -> Statement:
    batch = batch_of(sample)
    return Statement(
        f"({column} = %s"
        " AND s.timestamp >= (SELECT held.first_sample_at FROM metering_batch held WHERE held.id = %s)"
        " AND s.timestamp <= (SELECT held.last_sample_at FROM metering_batch held WHERE held.id = %s))",
        (sample, batch, batch),
    )


def _either(conditions: Sequence[Statement]) -> Statement:
    joined = Statement("(")
    for number, condition in enumerate(conditions):
        joined = joined.then(" OR " if number else "").then_all(condition)
    return joined.then(")")


def _compile_metadata(leaf: Comparison) -> Statement:
    """Whether any value under the key, at any place where it may be stored and of the type of what it is compared with, compares so.

    NULL where there is none: ``greatest`` passes over NULLs.
    """
    by_type: dict[type, list[Value]] = {}
    for value in leaf.values:
        by_type.setdefault(type(value), []).append(value)
    found = Statement("greatest(")
    separator = ""
    for value_type, values in by_type.items():
        json_type, sql_type = _JSON_TYPES[value_type]
        compared = f"= ANY(%s::{sql_type}[])" if leaf.operator == "in" else f"{_operator(leaf)} %s"
        operand = values if leaf.operator == "in" else values[0]
        for path in metadata_paths(leaf.metadata_key):
            found = found.then(
                f"{separator}CASE WHEN jsonb_typeof(st.metadata #> %s::text[]) = '{json_type}'"
                f" THEN (st.metadata #>> %s::text[])::{sql_type} {compared} END",
                list(path), list(path), operand,
            )  # fmt: skip
            separator = ", "
    return found.then(")")
