"""``combination``: the states of other alarms, joined by and / or (spec §3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from .contract import BadRule, Rule, RuleType
from .fields import Fields

__all__ = ["RULE_TYPE"]

_MOST_MEMBERS = 64


def parse(body: Any, path: str = "data.combination_rule") -> Rule:
    """The rule with each member once, in their order. Whether there are such alarms is looked up when it is stored."""
    fields = Fields.of(body, path=path, known=("operator", "alarm_ids"))
    operator = fields.choice("operator", ("and", "or"), "and")
    fields.required("alarm_ids")
    members = list(dict.fromkeys(map(_read_id, fields.entries("alarm_ids", most=_MOST_MEMBERS))))
    if len(members) < 2:
        raise BadRule.of_field(
            "alarm_ids", members, "Alarm combination rule should contain at least two different alarm ids."
        )
    return {"operator": operator, "alarm_ids": members}


def _read_id(value: Any) -> str:
    if not isinstance(value, str):
        raise BadRule.of_field("alarm_ids", value, f"Wrong type. Expected text of an id, got {type(value).__name__}.")
    try:
        return str(UUID(value))
    except ValueError:
        return value


def describe(rule: Mapping[str, Any]) -> str:
    joined = f" {rule['operator']} ".join(rule["alarm_ids"])
    return f"Combined state of alarms {joined}"


RULE_TYPE = RuleType("combination", parse, describe)
