"""Every path of alarms. A trailing slash is accepted everywhere."""

from __future__ import annotations

from django.urls import path, re_path

from metering.api.health import alive

from .alarms import AlarmDetail, AlarmList, AlarmState
from .backtests import AlarmBacktest
from .deliveries import AlarmDeliveries, SendDelivery
from .history import AlarmHistory
from .metrics import EvaluationMetrics
from .queries import AlarmQuery, HistoryQuery
from .quotas import QuotaDetail, QuotaList
from .silences import SilenceDetail, SilenceList
from .webhook import WebhookKeys

__all__ = ["urlpatterns"]

urlpatterns = [
    # Where Aodh said that it is alive.
    path("healthcheck", alive, name="healthcheck"),
    re_path(r"^v2/alarms/?$", AlarmList.as_view(), name="alarms"),
    re_path(r"^v2/alarms/backtest/?$", AlarmBacktest.as_view(), name="alarm-backtest"),
    # Before what takes any word for an id.
    re_path(r"^v2/alarms/webhook/?$", WebhookKeys.as_view(), name="webhook-keys"),
    re_path(r"^v2/alarms/(?P<alarm_id>[^/]+)/?$", AlarmDetail.as_view(), name="alarm"),
    re_path(r"^v2/alarms/(?P<alarm_id>[^/]+)/state/?$", AlarmState.as_view(), name="alarm-state"),
    re_path(r"^v2/alarms/(?P<alarm_id>[^/]+)/history/?$", AlarmHistory.as_view(), name="alarm-history"),
    re_path(r"^v2/alarms/(?P<alarm_id>[^/]+)/deliveries/?$", AlarmDeliveries.as_view(), name="alarm-deliveries"),
    re_path(
        r"^v2/alarms/(?P<alarm_id>[^/]+)/deliveries/(?P<delivery_id>[^/]+)/send/?$",
        SendDelivery.as_view(),
        name="alarm-delivery-send",
    ),
    re_path(r"^v2/query/alarms/?$", AlarmQuery.as_view(), name="query-alarms"),
    re_path(r"^v2/query/alarms/history/?$", HistoryQuery.as_view(), name="query-alarm-history"),
    re_path(r"^v2/metrics/?$", EvaluationMetrics.as_view(), name="metrics"),
    re_path(r"^v2/silences/?$", SilenceList.as_view(), name="silences"),
    re_path(r"^v2/silences/(?P<silence_id>[^/]+)/?$", SilenceDetail.as_view(), name="silence"),
    re_path(r"^v2/quotas/?$", QuotaList.as_view(), name="quotas"),
    re_path(r"^v2/quotas/(?P<project_id>[^/]+)/?$", QuotaDetail.as_view(), name="quota"),
]
