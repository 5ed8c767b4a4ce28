"""Definitions on their way into the store. Each change is one transaction: the alarm, its history, and when it is evaluated next."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from alarms.deliveries import enable_actions
from alarms.models import Alarm, AlarmChange, Schedule
from metering.api.callers import Caller

from .definitions import Definition
from .limits import check_quota
from .ownership import owner_of_changed, owner_of_new
from .references import check_references
from .scoping import check_may_change, find_alarm, visible_alarms
from .shapes import stored_shape

__all__ = ["create_alarm", "delete_alarm", "replace_alarm", "set_state"]

_MANUALLY = "Manually set via API"
# What changes with every change, and says nothing.
_TIMES = ("timestamp", "state_timestamp")


def create_alarm(wanted: Definition, caller: Caller) -> Alarm:
    """Store a new alarm. Raises QueryError, PermissionDenied or MemberNotFound, and stores nothing then."""
    project, user = owner_of_new(wanted, caller)
    check_may_change(caller, project)
    now = timezone.now()
    with transaction.atomic():
        check_quota(project=project, user=user)
        alarm = Alarm(project_id=project, user_id=user, state=wanted.state, state_at=now)
        _define(alarm, wanted, now)
        check_references(alarm)
        alarm.save(force_insert=True)
        _record(alarm, "creation", stored_shape(alarm), caller, now, severity=alarm.severity)
        Schedule.objects.create(alarm=alarm, due_at=now)
    return alarm


def replace_alarm(alarm_id: str, wanted: Definition, caller: Caller) -> Alarm:
    """Put a definition in the place of another: what it does not say falls back to its default, the state too. Raises as above.

    Actions that were disabled are told again: whoever puts an alarm says anew whom it is to tell.
    """
    with transaction.atomic():
        alarm, now = _lock(alarm_id, caller)
        before = stored_shape(alarm)
        project, user = owner_of_changed(wanted, alarm, caller)
        if project != alarm.project_id:
            check_quota(project=project, user=user, moved=alarm.id)
        alarm.project_id, alarm.user_id = project, user
        if wanted.state != alarm.state:
            alarm.state, alarm.state_reason, alarm.state_at = wanted.state, _MANUALLY, now
        _define(alarm, wanted, now)
        alarm.version += 1
        check_references(alarm)
        after = stored_shape(alarm)
        if (after["type"], after["rule"]) != (before["type"], before["rule"]):
            # What the evaluator remembers is of another rule.
            alarm.memory = {}
        alarm.save()
        enabled = enable_actions(alarm.id)
        changed: dict[str, Any] = {
            name: value for name, value in after.items() if value != before[name] and name not in _TIMES
        }
        if changed:
            _record(
                alarm, "rule change", changed, caller, now, severity=alarm.severity if "severity" in changed else None
            )
        if enabled:
            _record(alarm, "action enabled", {"urls": enabled}, caller, now)
        Schedule.objects.update_or_create(alarm=alarm, defaults={"due_at": now})
    return alarm


def set_state(alarm_id: str, state: str, caller: Caller) -> None:
    """Say what state an alarm is in; its next evaluation may say otherwise. Nobody is told. Raises AlarmNotFound, PermissionDenied."""
    with transaction.atomic():
        alarm, now = _lock(alarm_id, caller)
        alarm.state, alarm.state_reason, alarm.state_at = state, _MANUALLY, now
        alarm.version += 1
        alarm.save(update_fields=["state", "state_reason", "state_at", "version"])
        _record(alarm, "state transition", {"state": state, "state_reason": _MANUALLY}, caller, now)


def delete_alarm(alarm_id: str, caller: Caller) -> None:
    """Remove an alarm; its history stays. Raises AlarmNotFound, PermissionDenied."""
    with transaction.atomic():
        alarm, now = _lock(alarm_id, caller)
        _record(alarm, "deletion", stored_shape(alarm), caller, now, severity=alarm.severity)
        alarm.delete()


def _lock(alarm_id: str, caller: Caller) -> tuple[Alarm, datetime]:
    """The alarm, which nobody else changes until the transaction ends, and the time: later than that of any change before."""
    alarm = find_alarm(alarm_id, visible_alarms(caller.scope).select_for_update())
    check_may_change(caller, alarm.project_id)
    return alarm, timezone.now()


def _define(alarm: Alarm, wanted: Definition, now: datetime) -> None:
    alarm.name, alarm.description = wanted.name, wanted.description
    alarm.type, alarm.rule = wanted.type, wanted.rule
    alarm.enabled, alarm.severity = wanted.enabled, wanted.severity
    alarm.actions, alarm.repeat_actions = wanted.actions, wanted.repeat_actions
    alarm.time_constraints = wanted.time_constraints
    alarm.changed_at = now


def _record(
    alarm: Alarm, type: str, detail: Mapping[str, Any], caller: Caller, now: datetime, *, severity: int | None = None
) -> None:
    """A row of the history, for the eyes of the alarm's project."""
    AlarmChange.objects.create(
        alarm_id=alarm.id,
        type=type,
        detail=dict(detail),
        user_id=caller.username,
        # Who belongs to several projects acts for the alarm's.
        project_id=caller.project or (None if caller.is_operator else alarm.project_id),
        on_behalf_of=alarm.project_id,
        severity=severity,
        recorded_at=now,
    )
