"""How many alarms a project and a user may have (spec §13). -1: any number. Reading writes nothing."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db import connection

from alarms.models import Alarm, AlarmQuota

from .errors import quota_exceeded

__all__ = ["check_quota", "find_limit"]


def find_limit(project: str) -> int:
    """The project's own limit, else that of the settings."""
    found = AlarmQuota.objects.filter(project_id=project).values_list("limit", flat=True).first()
    return settings.CELOMETER_ALARMS_PER_PROJECT if found is None else found


def check_quota(*, project: str, user: str, moved: UUID | None = None) -> None:
    """Raises PermissionDenied where one more is too many. Until the transaction ends nobody else adds one to the same count.

    ``moved``: the id of the alarm, where it is not a new one but one that comes from another project.
    """
    counts = (
        ("project", project, find_limit(project), Alarm.objects.filter(project_id=project)),
        ("user", user, settings.CELOMETER_ALARMS_PER_USER, Alarm.objects.filter(user_id=user)),
    )
    for kind, name, limit, alarms in counts:
        if limit < 0:
            continue
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"alarms of {kind} {name}"])
        if alarms.exclude(id=moved).count() >= limit:
            raise quota_exceeded(user, project)
