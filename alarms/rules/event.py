"""``event``: something that happens (spec §3.4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from .contract import BadRule, Rule, RuleType
from .fields import Fields
from .query import check_convertible, parse_query, read_operator

__all__ = ["RULE_TYPE"]

_FIELD = re.compile(r"[a-zA-Z.',0-9_-]+\Z", re.ASCII)
_MOST_CHARACTERS = 4096


def parse(body: Any, path: str = "data.event_rule") -> Rule:
    """The rule; without an event type it is about all events, and a condition without a type compares text."""
    fields = Fields.of(body, path=path, known=("event_type", "query"))
    event_type = fields.text("event_type", "*", may_be_empty=True) or "*"
    return {"event_type": event_type, "query": parse_query(fields, _parse_item)}


def _parse_item(item: Fields) -> dict[str, str]:
    field = item.text("field")
    if not _FIELD.match(field):
        raise BadRule.of_field(
            "field", field, "expected letters, digits and . ' , _ - alone, such as traits.instance_id"
        )
    operator = read_operator(item)
    value = item.text("value", most=_MOST_CHARACTERS, may_be_empty=True)
    kind = item.text("type", "", may_be_empty=True)
    check_convertible(value, kind)
    return {"field": field, "op": operator, "value": value, "type": kind}


def describe(rule: Mapping[str, Any]) -> str:
    return f"Alarm when {rule['event_type']} event occurred."


RULE_TYPE = RuleType("event", parse, describe)
