"""Every path of alarms. A trailing slash is accepted everywhere."""

from __future__ import annotations

from django.urls import re_path

from .alarms import AlarmDetail, AlarmList, AlarmState

__all__ = ["urlpatterns"]

urlpatterns = [
    re_path(r"^v2/alarms/?$", AlarmList.as_view(), name="alarms"),
    re_path(r"^v2/alarms/(?P<alarm_id>[^/]+)/?$", AlarmDetail.as_view(), name="alarm"),
    re_path(r"^v2/alarms/(?P<alarm_id>[^/]+)/state/?$", AlarmState.as_view(), name="alarm-state"),
]
