"""An alarm's definition, from the body that it is sent in (spec §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from alarms.models import Severity
from alarms.rules.contract import BadRule, Rule
from alarms.rules.decision import INSUFFICIENT, STATES
from alarms.rules.fields import Fields
from alarms.rules.registry import rule_types
from metering.queries.errors import InvalidInput
from metering.queries.values import check_text

from .actions import ACTION_FIELDS, parse_actions
from .errors import as_refusals
from .time_constraints import parse_time_constraints

__all__ = ["Definition", "check_texts", "parse_definition", "parse_rule"]

_WRITABLE = (
    *("name", "type", "description", "enabled", "severity", "state", "repeat_actions", *ACTION_FIELDS.values()),
    *("time_constraints", "project_id", "user_id"),
)
# Clients send back what they were sent: these are taken and left alone.
_READ_ONLY = ("alarm_id", "timestamp", "state_timestamp", "state_reason", "evaluate_timestamp")
_MOST_CHARACTERS = 10_000
_DEEPEST = 64


@dataclass(frozen=True, slots=True)
class Definition:
    """Everything of an alarm that a request says. ``project_id`` and ``user_id`` are None where it says nothing."""

    name: str
    type: str
    rule: Rule
    description: str
    enabled: bool
    severity: Severity
    state: str
    actions: dict[str, list[str]]
    repeat_actions: bool
    time_constraints: list[dict[str, Any]]
    project_id: str | None
    user_id: str | None


def parse_definition(body: Any, *, is_operator: bool) -> Definition:
    """What the body says, with defaults for what it does not. Raises QueryError for the first thing that is wrong."""
    if body is None:
        raise InvalidInput("data", None, "Mandatory field missing.")
    check_texts("data", body)
    with as_refusals():
        known = {*_WRITABLE, *_READ_ONLY, *(f"{name}_rule" for name in rule_types())}
        fields = Fields.of(body, path="data", known=known)
        name = fields.text("name")
        type_name = fields.choice("type", tuple(rule_types()))
        rule = parse_rule(fields, type_name)
        described = fields.text("description", "", most=_MOST_CHARACTERS, may_be_empty=True)
        return Definition(
            name=name,
            type=type_name,
            rule=rule,
            description=described or rule_types()[type_name].describe(rule),
            enabled=fields.boolean("enabled", default=True),
            severity=_severity(fields),
            state=fields.choice("state", STATES, INSUFFICIENT),
            actions=parse_actions(fields, is_operator=is_operator),
            repeat_actions=fields.boolean("repeat_actions", default=False),
            time_constraints=parse_time_constraints(fields),
            project_id=fields.text("project_id") if fields.has("project_id") else None,
            user_id=fields.text("user_id") if fields.has("user_id") else None,
        )


def parse_rule(fields: Fields, type_name: str) -> Rule:
    """The one rule that there must be. Raises BadRule."""
    given = [name for name in fields.body if name.endswith("_rule") and fields.has(name)]
    wanted = f"{type_name}_rule"
    if wanted not in given:
        raise BadRule(f"{wanted} must be set for {type_name} type alarm", value=", ".join(given) or None)
    others = [name for name in given if name != wanted]
    if others:
        raise BadRule(f"{wanted} and {others[0]} cannot be set at the same time", value=others[0])
    return rule_types()[type_name].parse(fields.body[wanted], f"data.{wanted}")


def _severity(fields: Fields) -> Severity:
    """Left out: low. Null is refused, as it always was."""
    if "severity" not in fields.body:
        return Severity.LOW
    labels = tuple(label for _, label in Severity.choices)
    return Severity(labels.index(fields.choice("severity", labels)) + 1)


def check_texts(name: str, value: Any) -> None:
    """Raises InvalidInput for text in it that the store cannot hold, and for what is nested too deeply."""
    level = [value]
    for _ in range(_DEEPEST):
        below: list[Any] = []
        for entry in level:
            if isinstance(entry, str):
                check_text(name, entry)
            elif isinstance(entry, dict):
                below += [*entry, *entry.values()]
            elif isinstance(entry, list):
                below += entry
        if not below:
            return
        level = below
    raise InvalidInput(name, "…", f"it is nested too deeply: expected at most {_DEEPEST} levels")
