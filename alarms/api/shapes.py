"""Alarms and their history as the API prints them: the only way, whatever is asked."""

from __future__ import annotations

import json
from typing import Any

from alarms.models import Alarm, AlarmChange, Attempt, Delivery, Severity, Silence
from metering.api.v2.shapes import format_time

from .actions import ACTION_FIELDS

__all__ = ["alarm_shape", "change_shape", "delivery_shape", "silence_shape", "stored_shape"]


def stored_shape(alarm: Alarm) -> dict[str, Any]:
    """As it stands in the history: whatever the type, the rule is ``rule``."""
    actions = {name: alarm.actions.get(state, []) for state, name in ACTION_FIELDS.items()}
    return {
        "alarm_id": str(alarm.id),
        "name": alarm.name,
        "description": alarm.description,
        "type": alarm.type,
        "rule": alarm.rule,
        "enabled": alarm.enabled,
        "severity": Severity(alarm.severity).label,
        "project_id": alarm.project_id,
        "user_id": alarm.user_id,
        **actions,
        "repeat_actions": alarm.repeat_actions,
        "time_constraints": alarm.time_constraints,
        "state": alarm.state,
        "state_reason": alarm.state_reason,
        "timestamp": format_time(alarm.changed_at),
        "state_timestamp": format_time(alarm.state_at),
    }


def alarm_shape(alarm: Alarm) -> dict[str, Any]:
    """With its rule under ``<type>_rule``. Types that are no longer there are shown like all others."""
    return {(f"{alarm.type}_rule" if name == "rule" else name): value for name, value in stored_shape(alarm).items()}


def change_shape(change: AlarmChange) -> dict[str, Any]:
    """A row of the history; ``detail`` is text that holds JSON."""
    return {
        "event_id": str(change.id),
        "alarm_id": str(change.alarm_id),
        "type": change.type,
        "detail": json.dumps(change.detail, ensure_ascii=False),
        "user_id": change.user_id,
        "project_id": change.project_id,
        "on_behalf_of": change.on_behalf_of,
        "timestamp": format_time(change.recorded_at),
    }


def delivery_shape(delivery: Delivery) -> dict[str, Any]:
    """With its attempts, which are fetched before where there are several deliveries."""
    return {
        "id": str(delivery.id),
        "url": delivery.url,
        "state": delivery.state,
        "transition": None if delivery.change_id is None else str(delivery.change_id),
        "made_at": format_time(delivery.made_at),
        "due_at": format_time(delivery.due_at),
        "ended_at": None if delivery.ended_at is None else format_time(delivery.ended_at),
        "attempts": [_attempt_shape(attempt) for attempt in delivery.attempts.all()],
    }


def _attempt_shape(attempt: Attempt) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "begun_at": format_time(attempt.begun_at),
        "status": attempt.status,
        "duration_ms": attempt.duration_ms,
        "outcome": attempt.outcome,
    }


def silence_shape(silence: Silence) -> dict[str, Any]:
    return {
        "id": str(silence.id),
        "project_id": silence.project_id,
        "alarm_id": None if silence.alarm_id is None else str(silence.alarm_id),
        "name": silence.name,
        "severity": None if silence.severity is None else Severity(silence.severity).label,
        "starts_at": format_time(silence.starts_at),
        "ends_at": format_time(silence.ends_at),
        "comment": silence.comment,
        "user_id": silence.user_id,
        "made_at": format_time(silence.made_at),
    }
