"""From rows that outlive their alarm to its page."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from alarms.models import Alarm

__all__ = ["alarm_link", "with_alarm_name"]


def with_alarm_name(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Each with the name of its alarm, in the same statement."""
    alarm = Alarm.objects.filter(pk=OuterRef("alarm_id")).order_by()
    return rows.annotate(alarm_name=Subquery(alarm.values("name")[:1]))


def alarm_link(row: Any) -> SafeString:
    """The alarm by its name; by its id alone where it is gone. For rows ``with_alarm_name``."""
    if row.alarm_name is None:
        return format_html("{}, which is gone", row.alarm_id)
    return format_html('<a href="{}">{}</a>', reverse("admin:alarms_alarm_change", args=[row.alarm_id]), row.alarm_name)
