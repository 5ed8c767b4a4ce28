"""The three ``gnocchi_*`` types (spec §3.5), as their clients send them. They are evaluated on our store."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .contract import BadRule, Rule, RuleType, shorten
from .fields import COMPARISONS, MAX_PERIODS, MAX_SECONDS, Fields

__all__ = ["BY_METRICS", "BY_RESOURCES", "RESOURCES"]

# What Gnocchi could, and what our statistics have a function for.
_METHODS = (
    *("mean", "min", "max", "sum", "count", "std", "median", "first", "last", "nunique"),
    *(f"rate:{name}" for name in ("mean", "min", "max", "sum", "count", "std", "median", "first", "last")),
)
_PERCENTILE = re.compile(r"(rate:)?\d{1,2}pct\Z", re.ASCII)
_COMMON = ("threshold", "comparison_operator", "aggregation_method", "granularity", "evaluation_periods")
_MOST_METRICS = 64
_MOST_CHARACTERS = 65_536
_DEEPEST = 8
_JUNCTIONS = ("and", "or", "∧", "∨")
_OPERATORS = (
    *("=", "==", "eq", "<", "lt", ">", "gt", "<=", "≤", "le", ">=", "≥", "ge", "!=", "≠", "ne", "like", "in"),
)


def _parse(read_own: Callable[[Fields], Rule], own: tuple[str, ...], body: Any, path: str) -> Rule:
    fields = Fields.of(body, path=path, known=(*_COMMON, *own))
    method = fields.text("aggregation_method")
    if method not in _METHODS and not _PERCENTILE.match(method):
        expected = f"Value should be one of: {', '.join(_METHODS)}, or a percentile such as 95pct"
        raise BadRule.of_field("aggregation_method", method, expected)
    return {
        "threshold": fields.number("threshold"),
        "comparison_operator": fields.choice("comparison_operator", COMPARISONS, "eq"),
        "aggregation_method": method,
        "granularity": fields.integer("granularity", 60, least=1, most=MAX_SECONDS),
        "evaluation_periods": fields.integer("evaluation_periods", 1, least=1, most=MAX_PERIODS),
        **read_own(fields),
    }


def _of_resource(fields: Fields) -> Rule:
    return {name: fields.text(name) for name in ("metric", "resource_id", "resource_type")}


def _of_metrics(fields: Fields) -> Rule:
    fields.required("metrics")
    metrics = fields.entries("metrics", most=_MOST_METRICS)
    if not metrics or not all(isinstance(metric, str) and metric for metric in metrics):
        raise BadRule.of_field("metrics", metrics, "expected a list of at least one metric's id, all of them text")
    return {"metrics": metrics}


def _of_resources(fields: Fields) -> Rule:
    query = fields.text("query", most=_MOST_CHARACTERS)
    try:
        tree = json.loads(query)
    except (ValueError, RecursionError) as error:
        raise BadRule.of_field("query", query, f"expected text that holds JSON: {shorten(error)}") from error
    _check_tree(tree, query, depth=1)
    return {"metric": fields.text("metric"), "query": query, "resource_type": fields.text("resource_type")}


def _check_tree(tree: Any, query: str, *, depth: int) -> None:
    """Gnocchi's filters: ``{"and": [tree, …]}``, ``{"or": […]}``, ``{"not": tree}``, or ``{operator: {attribute: value}}``."""
    if depth > _DEEPEST:
        raise BadRule.of_field("query", query, f"expected at most {_DEEPEST} levels")
    if not isinstance(tree, dict) or len(tree) != 1:
        raise BadRule.of_field("query", shorten(tree), "expected an object with one key, an operator")
    ((word, operand),) = tree.items()
    if word == "not":
        _check_tree(operand, query, depth=depth + 1)
    elif word in _JUNCTIONS:
        if not isinstance(operand, list) or not operand:
            raise BadRule.of_field("query", shorten(tree), f"expected a list of filters for {word}")
        for part in operand:
            _check_tree(part, query, depth=depth + 1)
    elif word not in _OPERATORS:
        raise BadRule.of_field("query", word, f"expected an operator: and, or, not, {', '.join(_OPERATORS)}")
    elif not isinstance(operand, dict) or len(operand) != 1:
        raise BadRule.of_field("query", shorten(tree), f"expected an object with one attribute for {word}")


def _describe(name: str, rule: Mapping[str, Any]) -> str:
    return f"{name} alarm rule"


def _type(name: str, read_own: Callable[[Fields], Rule], own: tuple[str, ...]) -> RuleType:
    def parse(body: Any, path: str = f"data.{name}_rule") -> Rule:
        return _parse(read_own, own, body, path)

    return RuleType(name, parse, partial(_describe, name), may_be_leaf=True)


RESOURCES = _type("gnocchi_resources_threshold", _of_resource, ("metric", "resource_id", "resource_type"))
BY_METRICS = _type("gnocchi_aggregation_by_metrics_threshold", _of_metrics, ("metrics",))
BY_RESOURCES = _type("gnocchi_aggregation_by_resources_threshold", _of_resources, ("metric", "query", "resource_type"))
