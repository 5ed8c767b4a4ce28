"""Whose alarms and histories a caller may see: every query of the API begins here, so that nothing else has to think of it."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from alarms.models import Alarm, AlarmChange, Delivery, Silence
from metering.api.callers import Caller, denied
from metering.queries.errors import shorten
from metering.queries.filters import Scope

from .errors import AlarmNotFound

__all__ = [
    "check_may_change",
    "find_alarm",
    "read_id",
    "visible_alarms",
    "visible_changes",
    "visible_deliveries",
    "visible_silences",
]


def visible_alarms(scope: Scope) -> QuerySet[Alarm]:
    return Alarm.objects.all() if scope.projects is None else Alarm.objects.filter(project_id__in=scope.projects)


def visible_changes(scope: Scope) -> QuerySet[AlarmChange]:
    changes = AlarmChange.objects.all()
    return changes if scope.projects is None else changes.filter(on_behalf_of__in=scope.projects)


def visible_deliveries(scope: Scope) -> QuerySet[Delivery]:
    """Those of projects that the caller sees: one of an alarm that was given away stays with whom it was made for."""
    deliveries = Delivery.objects.all()
    return deliveries if scope.projects is None else deliveries.filter(project_id__in=scope.projects)


def visible_silences(scope: Scope) -> QuerySet[Silence]:
    return Silence.objects.all() if scope.projects is None else Silence.objects.filter(project_id__in=scope.projects)


def find_alarm(text: str, alarms: QuerySet[Alarm]) -> Alarm:
    """The alarm of this id among these. Raises AlarmNotFound."""
    id = read_id(text)
    alarm = alarms.filter(id=id).first() if id else None
    if alarm is None:
        raise AlarmNotFound(text)
    return alarm


def read_id(text: str) -> UUID | None:
    """None for what is no id of anything."""
    try:
        return UUID(text)
    except ValueError:
        return None


def check_may_change(caller: Caller, project: str) -> None:
    """Raises PermissionDenied where the caller sees the project's alarms but only as a reader."""
    if not (caller.is_operator or project in caller.postable):
        raise denied(
            f"changing alarms of project {shorten(project)} needs the role member, and {caller.username} is a reader of it",
            code="role_missing",
        )
