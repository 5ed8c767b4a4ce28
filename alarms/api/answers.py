"""The shapes of alarms as JSON schemas, by the names that they have in the OpenAPI document. ``shapes`` makes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alarms.models import DeliveryState
from alarms.rules.decision import STATES

from .actions import ACTION_FIELDS

__all__ = ["COMPONENTS", "SEVERITIES", "STATE", "add_components"]

Schema = Mapping[str, Any]

SEVERITIES = ("low", "moderate", "critical")
STATE: Schema = {"type": "string", "enum": list(STATES)}
_TEXT = {"type": "string"}
_NAME = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"^[^\u0000]*$"}
_UUID = {"type": "string", "format": "uuid"}
_TIME = {"type": "string", "description": "ISO 8601 in UTC, without a zone."}
_URLS = {"type": "array", "items": _TEXT}
_RULE = {"type": "object", "description": "What stands under `<type>_rule`; fields by type in docs/alarms.md."}
_CONSTRAINT = {
    "type": "object",
    "required": ["name", "start", "duration"],
    "properties": {
        "name": _NAME,
        "description": {**_TEXT, "nullable": True},
        "start": {"type": "string", "description": "A cron expression.", "example": "0 11 * * *"},
        "duration": {"oneOf": [{"type": "integer", "minimum": 0}, _TEXT], "description": "In seconds."},
        "timezone": {"type": "string", "nullable": True, "description": "UTC when empty."},
    },
    "additionalProperties": False,
}
_CONSTRAINTS = {"type": "array", "items": _CONSTRAINT, "nullable": True}
_WRITABLE: Schema = {
    "name": _NAME,
    "description": {"type": "string", "nullable": True, "description": "Made from the rule when empty."},
    "type": {"type": "string", "example": "threshold"},
    "enabled": {"type": "boolean"},
    "severity": {"type": "string", "enum": list(SEVERITIES)},
    "project_id": {"type": "string", "description": "The caller's when left out; operators may name any."},
    "user_id": {"type": "string", "description": "The caller when left out; operators may name any."},
    "repeat_actions": {"type": "boolean"},
    "state": STATE,
}
_SHOWN: Schema = {
    "alarm_id": _UUID,
    **_WRITABLE,
    **dict.fromkeys(ACTION_FIELDS.values(), _URLS),
    "time_constraints": {"type": "array", "items": _CONSTRAINT},
    "state_reason": _TEXT,
    "timestamp": {**_TIME, "description": "When the definition last changed."},
    "state_timestamp": {**_TIME, "description": "When the state last changed."},
}

_ATTEMPT: Schema = {
    "number": {"type": "integer", "minimum": 1},
    "begun_at": _TIME,
    "status": {"type": "integer", "nullable": True, "description": "Of HTTP; null where there was no answer."},
    "duration_ms": {"type": "integer", "nullable": True},
    "outcome": {"type": "string", "description": "What came of it, in words; empty where nobody has reported."},
}
_DELIVERY: Schema = {
    "id": {**_UUID, "description": "The header `webhook-id` is `msg_` and these digits."},
    "url": _TEXT,
    "state": {"type": "string", "enum": list(DeliveryState.values)},
    "transition": {**_UUID, "nullable": True, "description": "The `event_id` of the history that it tells of."},
    "made_at": _TIME,
    "due_at": {**_TIME, "description": "When the next attempt is due, or the last one was."},
    "ended_at": {**_TIME, "nullable": True},
    "attempts": {
        "type": "array",
        "items": {
            "type": "object",
            "required": list(_ATTEMPT),
            "properties": dict(_ATTEMPT),
            "additionalProperties": False,
        },
    },
}
_SILENCE: Schema = {
    "project_id": {"type": "string", "description": "The caller's when left out."},
    "alarm_id": {**_UUID, "nullable": True, "description": "That alarm alone."},
    "name": {
        "type": "string",
        "maxLength": 255,
        "description": "A pattern with `*`, `?` and `[…]`; empty for any name.",
    },
    "severity": {
        "type": "string",
        "enum": [*SEVERITIES, None],
        "nullable": True,
        "description": "That severity alone.",
    },
    "starts_at": {**_TIME, "description": "Now when left out."},
    "ends_at": _TIME,
    "comment": _TEXT,
}
_SILENCE_SHOWN: Schema = {"id": _UUID, **_SILENCE, "user_id": _TEXT, "made_at": _TIME}

COMPONENTS: Mapping[str, Schema] = {
    "Alarm": {
        "type": "object",
        "required": list(_SHOWN),
        "properties": dict(_SHOWN),
        # Its rule, under <type>_rule.
        "additionalProperties": _RULE,
        "description": "A definition and the state that it is in. The rule stands under `<type>_rule`.",
    },
    "AlarmToStore": {
        "type": "object",
        "required": ["name", "type"],
        "properties": {
            **_WRITABLE,
            **{name: {**_URLS, "nullable": True} for name in ACTION_FIELDS.values()},
            "time_constraints": _CONSTRAINTS,
            **{name: {"description": "Taken and left alone."} for name in ("alarm_id", "state_reason", "timestamp",
                                                                          "state_timestamp", "evaluate_timestamp")},
        },
        "additionalProperties": _RULE,
    },
    "AlarmToTest": {
        "type": "object",
        "required": ["type", "start", "end"],
        "properties": {
            "type": {"type": "string", "example": "threshold"},
            "start": {"type": "string", "description": "ISO 8601; UTC without a zone. Not before 1970."},
            "end": {"type": "string", "description": "After the start; what has not come yet is left out."},
            "time_constraints": _CONSTRAINTS,
            "project_id": {"type": "string", "nullable": True, "description": "Whose alarm it would be: as for one to store."},
        },
        "additionalProperties": _RULE,
    },
    "AlarmBacktest": {
        "type": "object",
        "required": ["interval", "transitions"],
        "properties": {
            "interval": {
                "type": "integer",
                "nullable": True,
                "description": "The seconds from one evaluation to the next; null for alarms about events.",
            },
            "transitions": {"type": "array", "items": {
                "type": "object",
                "required": ["timestamp", "previous", "state", "reason", "reason_data"],
                "properties": {
                    "timestamp": _TIME,
                    "previous": STATE,
                    "state": STATE,
                    "reason": _TEXT,
                    "reason_data": {"type": "object", "description": "What webhooks are told of the reason."},
                },
                "additionalProperties": False,
            }},
        },
        "additionalProperties": False,
    },
    "AlarmChange": {
        "type": "object",
        "required": ["event_id", "alarm_id", "type", "detail", "user_id", "project_id", "on_behalf_of", "timestamp"],
        "properties": {
            "event_id": _UUID,
            "alarm_id": _UUID,
            "type": {"type": "string", "enum": ["creation", "rule change", "state transition", "deletion", "action disabled",
                                                "action enabled"]},
            "detail": {"type": "string", "description": "Text that holds JSON: what changed, or all of the alarm."},
            "user_id": {**_TEXT, "nullable": True, "description": "Who changed it."},
            "project_id": {**_TEXT, "nullable": True, "description": "For which project they acted."},
            "on_behalf_of": {"type": "string", "description": "The alarm's project."},
            "timestamp": _TIME,
        },
        "additionalProperties": False,
    },
    "AlarmDelivery": {
        "type": "object",
        "required": list(_DELIVERY),
        "properties": dict(_DELIVERY),
        "additionalProperties": False,
    },
    "WebhookKeys": {
        "type": "object",
        "required": ["secret", "public_key"],
        "properties": {
            "secret": {"type": "string", "description": "`whsec_` and base64: of `v1`, HMAC-SHA256."},
            "public_key": {"type": "string", "description": "`whpk_` and base64: of `v1a`, Ed25519."},
        },
        "additionalProperties": False,
    },
    "Silence": {
        "type": "object",
        "required": list(_SILENCE_SHOWN),
        "properties": dict(_SILENCE_SHOWN),
        "additionalProperties": False,
    },
    "SilenceToStore": {
        "type": "object",
        "required": ["ends_at"],
        "properties": dict(_SILENCE),
        "additionalProperties": False,
    },
    "AlarmQuota": {
        "type": "object",
        "required": ["project_id", "quotas"],
        "properties": {
            "project_id": _TEXT,
            "quotas": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["resource", "limit"],
                    "properties": {
                        "resource": {"type": "string", "enum": ["alarms"]},
                        "limit": {"type": "integer", "minimum": -1, "description": "-1: any number."},
                    },
                    "additionalProperties": False,
                },
            },
        },
        "additionalProperties": False,
    },
}  # fmt: skip


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """For drf-spectacular: these beside the shapes of metering."""
    result.setdefault("components", {}).setdefault("schemas", {}).update(COMPONENTS)
    return result
