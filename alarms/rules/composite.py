"""``composite``: rules of other types in a tree of and / or (spec §3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .contract import BadRule, Rule, RuleType, shorten
from .registry import rule_types

__all__ = ["RULE_TYPE", "find_leaves"]

_DEEPEST = 8
_MOST_LEAVES = 64
_WORDS = ("and", "or")


def parse(body: Any, path: str = "data.composite_rule") -> Rule:
    """The tree, its leaves with their defaults filled in."""
    tree = _parse_node(body, path, depth=1)
    count = sum(1 for _ in find_leaves(tree))
    if count > _MOST_LEAVES:
        raise BadRule.of_field("composite_rule", f"{count} rules", f"expected at most {_MOST_LEAVES}")
    return tree


def find_leaves(tree: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The leaves of a parsed tree, depth first: rule1, rule2 and so on. Each has its ``type``."""
    word = next((word for word in _WORDS if word in tree), None)
    if word is None:
        assert isinstance(tree, dict)
        yield tree
        return
    for node in tree[word]:
        yield from find_leaves(node)


def _parse_node(node: Any, path: str, *, depth: int) -> Rule:
    if depth > _DEEPEST:
        raise BadRule.of_field("composite_rule", f"{depth} levels", f"expected at most {_DEEPEST}")
    if not isinstance(node, Mapping):
        raise BadRule(f"Invalid input composite rule: {shorten(node)}, it should be a dict with an \"and\" or \"or\" as key, "
                      "and the value of dict should be a list of basic threshold rules or sub composite rules, "
                      "can be nested.", value=node)  # fmt: skip
    if len(node) > 1 and "type" in node:
        return _parse_leaf(node, path)
    if len(node) != 1:
        raise BadRule("type must be set in every rule", value=dict(node))
    ((word, nodes),) = node.items()
    if word not in _WORDS:
        raise BadRule('Threshold rules should be combined with "and" or "or"', value=word)
    if not isinstance(nodes, list):
        raise BadRule(f"Invalid input composite rule: {shorten(dict(node))}, expected a list for {word}", value=nodes)
    # An empty one would be true of nothing, or of everything.
    if not nodes:
        raise BadRule(
            f"Invalid input composite rule: {shorten(dict(node))}, expected at least one rule for {word}", value=nodes
        )
    return {word: [_parse_node(part, path, depth=depth + 1) for part in nodes]}


def _parse_leaf(leaf: Mapping[str, Any], path: str) -> Rule:
    name = leaf["type"]
    allowed = sorted(found.name for found in rule_types().values() if found.may_be_leaf)
    if name not in allowed:
        text = f"Unsupported sub-rule type :{shorten(name)} in composite rule, should be one of: {allowed}"
        raise BadRule(text, value=name)
    rule = rule_types()[name].parse({key: value for key, value in leaf.items() if key != "type"}, path)
    return {**rule, "type": name}


def describe(rule: Mapping[str, Any]) -> str:
    return "composite alarm rule"


RULE_TYPE = RuleType("composite", parse, describe)
