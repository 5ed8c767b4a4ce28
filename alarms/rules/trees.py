"""Composite rules: and and or over rules that compare series (spec 8).

Each leaf is like an alarm of its own and keeps its side while its values are mixed. Ceilometer had no memory of it and guessed by the
direction, which could move the alarm the wrong way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .decision import ALARM, INSUFFICIENT, OK, Decision, State

__all__ = ["composition_form", "decide_tree", "leaves_of"]

Node = Mapping[str, Any]
_SIDES = {OK: "inside their threshold.", ALARM: "outside their threshold.", INSUFFICIENT: "state evaluated to unknown."}


def leaves_of(node: Node) -> Iterator[Node]:
    """The leaves, depth first: rule1, rule2 and so on."""
    operator = _operator(node)
    if operator is None:
        yield node
        return
    for child in node[operator]:
        yield from leaves_of(child)


def decide_tree(tree: Node, leaves: Sequence[Decision], state: State, *, repeats: bool) -> Decision:
    """What follows from the decisions about the leaves. Alarm and ok are repeated; insufficient data never is.

    The memory is that of the leaves, ``{"leaves": […]}``: the state of each and what it keeps itself.
    """
    places = iter(leaves)
    following = _combined(tree, places)
    causes = {
        f"rule{number}": dict(leaf)
        for number, (leaf, decision) in enumerate(zip(leaves_of(tree), leaves, strict=True), 1)
        if decision.state == following
    }
    form = composition_form(tree)
    moved = following != state
    reason = (
        f"Composite rule alarm with composition form: {form} {'transition to' if moved else 'remaining as'} {following}, "
        f"due to rules: {', '.join(causes)} {_SIDES[following]}"
    )
    data = {"type": "composite", "composition_form": form, "causative_rules": causes}
    fires = moved or (repeats and following != INSUFFICIENT)
    memory = {"leaves": [{"state": leaf.state, **leaf.memory} for leaf in leaves]}
    return Decision(following, reason, data, fires, memory)


def composition_form(tree: Node) -> str:
    """The rule as people read it, such as ``(rule1 or (rule2 and rule3))``."""
    numbers = iter(range(1, 1 + sum(1 for _ in leaves_of(tree))))

    def shown(node: Node) -> str:
        operator = _operator(node)
        if operator is None:
            return f"rule{next(numbers)}"
        return "(" + f" {operator} ".join([shown(child) for child in node[operator]]) + ")"

    return shown(tree)


def _combined(node: Node, leaves: Iterator[Decision]) -> State:
    """Three-valued logic: one side decides whatever is unknown, as far as the operator lets it."""
    operator = _operator(node)
    if operator is None:
        return next(leaves).state
    states = {_combined(child, leaves) for child in node[operator]}
    deciding, otherwise = (ALARM, OK) if operator == "or" else (OK, ALARM)
    if deciding in states:
        return deciding
    return INSUFFICIENT if INSUFFICIENT in states else otherwise


def _operator(node: Node) -> str | None:
    return next((name for name in ("and", "or") if name in node), None)
