"""What each endpoint of alarms takes and answers, with an example of each."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from metering.api.operations import Answer, Operation, Parameter
from metering.api.v2.answers import list_of, one

from .answers import STATE

ALARM_FIELDS = frozenset(
    {"name", "user", "project", "state", "meter", "enabled", "alarm_id", "type", "severity", "timestamp", "repeat_actions",
     "all_projects"}
)  # fmt: skip
HISTORY_FIELDS = frozenset({"user", "project", "type", "severity", "timestamp", "search_offset"})

_ID = "1f6b9c5e-2f4c-4a8e-9d8d-0f7a9d3b5c11"
_NEXT = {"Link": 'The next page as `<URL>; rel="next"`; missing on the last one.'}
_LIMIT = Parameter(
    "limit",
    f"How many entries to answer with: {settings.CELOMETER_ALARM_MAX_LIMIT} when left out, or 0.",
    {"type": "integer", "minimum": 0, "maximum": settings.CELOMETER_ALARM_MAX_LIMIT},
    label="Entries at most",
)
_SORT = Parameter(
    "sort",
    "What to order by, as `key` or `key:desc`; may be repeated. The newest first when left out.",
    example="name:asc",
    repeated=True,
    label="Order by (key, or key:desc)",
)


def _marker(of: str) -> Parameter:
    return Parameter("marker", f"Where the page begins: the `{of}` of the last entry of the page before.")


_TO_STORE = {
    "name": "busy",
    "type": "threshold",
    "threshold_rule": {
        "meter_name": "cpu_util",
        "threshold": 80.0,
        "comparison_operator": "gt",
        "statistic": "avg",
        "period": 300,
        "evaluation_periods": 3,
        "query": [{"field": "resource_id", "op": "eq", "value": "r1"}],
    },
    "alarm_actions": ["https://hooks.example.org/busy"],
}
_ALARM = {
    "alarm_id": _ID,
    "name": "busy",
    "description": "Alarm when cpu_util is gt a avg of 80.0 over 300 seconds",
    "type": "threshold",
    "threshold_rule": {
        **_TO_STORE["threshold_rule"],  # type: ignore[dict-item]
        "query": [
            {"field": "resource_id", "op": "eq", "value": "r1"},
            {"field": "project_id", "op": "eq", "value": "p1"},
        ],
        "exclude_outliers": False,
    },
    "enabled": True,
    "severity": "low",
    "project_id": "p1",
    "user_id": "alice",
    "ok_actions": [],
    "alarm_actions": ["https://hooks.example.org/busy"],
    "insufficient_data_actions": [],
    "repeat_actions": False,
    "time_constraints": [],
    "state": "insufficient data",
    "state_reason": "Not evaluated yet",
    "timestamp": "2026-01-01T10:00:00.123456",
    "state_timestamp": "2026-01-01T10:00:00.123456",
}
_CHANGE = {
    "event_id": "7a0c8f5e-3f5b-4f57-9a58-4a1f0a1c2d3e",
    "alarm_id": _ID,
    "type": "state transition",
    "detail": '{"state": "alarm", "transition_reason": "Transition to alarm due to 3 samples outside threshold, most recent: 93.0"}',
    "user_id": None,
    "project_id": None,
    "on_behalf_of": "p1",
    "timestamp": "2026-01-01T10:05:00.123456",
}
_BACKTEST = {
    "interval": 60,
    "transitions": [
        {
            "timestamp": "2026-01-01T10:05:00",
            "previous": "insufficient data",
            "state": "alarm",
            "reason": "Transition to alarm due to 3 samples outside threshold, most recent: 93",
            "reason_data": {"type": "threshold", "disposition": "outside", "count": 3, "most_recent": 93},
        }
    ],
}
_DELIVERY = {
    "id": "c0a4b7f6-4a5e-4c0b-8d6e-3b1f7e2a9c44",
    "url": "https://hooks.example.org/busy",
    "state": "failed",
    "transition": "7a0c8f5e-3f5b-4f57-9a58-4a1f0a1c2d3e",
    "made_at": "2026-01-01T10:05:00.123456",
    "due_at": "2026-01-01T10:05:00.123456",
    "ended_at": "2026-01-01T10:05:00.423456",
    "attempts": [
        {
            "number": 1,
            "begun_at": "2026-01-01T10:05:00.223456",
            "status": 410,
            "duration_ms": 83,
            "outcome": "answered 410 Gone",
        }
    ],
}
_WEBHOOK_KEYS = {
    "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=",
    "public_key": "whpk_11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
}
_SILENCE_TO_STORE = {"name": "disk *", "severity": "low", "ends_at": "2099-01-01T12:00:00", "comment": "new disks"}
_SILENCE = {
    "id": "5b2f0f0e-6f8f-4f0c-9d53-0d7a3f3e8a10",
    "project_id": "p1",
    "alarm_id": None,
    **_SILENCE_TO_STORE,
    "starts_at": "2026-01-01T10:00:00.123456",
    "user_id": "alice",
    "made_at": "2026-01-01T10:00:00.123456",
}
_QUOTA = {"project_id": "p1", "quotas": [{"resource": "alarms", "limit": 100}]}


def _query_example(condition: str) -> dict[str, Any]:
    return {"filter": condition, "orderby": '[{"timestamp": "desc"}]', "limit": 10}


LIST_ALARMS = Operation(
    {200: Answer("Alarms that match", list_of("Alarm"), [_ALARM], _NEXT)},
    fields=ALARM_FIELDS,
    free_fields=None,
    arguments=(_LIMIT, _marker("alarm_id"), _SORT),
)
POST_ALARM = Operation(
    {201: Answer("It is stored, and evaluated soon", one("Alarm"), _ALARM, {"Location": "The alarm."})},
    summary="Make an alarm",
    body=one("AlarmToStore"),
    body_example=_TO_STORE,
    refusals=(404,),
)
SHOW_ALARM = Operation({200: Answer("The alarm", one("Alarm"), _ALARM)}, refusals=(404,))
PUT_ALARM = Operation(
    {200: Answer("The alarm as it is now", one("Alarm"), _ALARM)},
    summary="Put another definition in its place",
    body=one("AlarmToStore"),
    body_example=_TO_STORE,
    refusals=(404,),
)
DELETE_ALARM = Operation(
    {204: Answer("It is gone; its history stays", None)}, summary="Remove an alarm", refusals=(404,)
)
SHOW_STATE = Operation({200: Answer("The state", STATE, "ok")}, refusals=(404,))
PUT_STATE = Operation(
    {200: Answer("The state as it is now", STATE, "alarm")},
    summary="Say what state an alarm is in",
    body=STATE,
    body_example="alarm",
    refusals=(404,),
)
BACKTEST = Operation(
    {200: Answer("The transitions that the alarm would have had, the oldest first", one("AlarmBacktest"), _BACKTEST)},
    summary="Test a rule on the past",
    body=one("AlarmToTest"),
    body_example={
        "type": "threshold",
        "threshold_rule": _TO_STORE["threshold_rule"],
        "start": "2026-01-01T00:00:00",
        "end": "2026-01-08T00:00:00",
    },
    refusals=(410,),
)
LIST_HISTORY = Operation(
    {200: Answer("What happened to the alarm, the newest first", list_of("AlarmChange"), [_CHANGE], _NEXT)},
    fields=HISTORY_FIELDS,
    free_fields=None,
    arguments=(_LIMIT, _marker("event_id"), _SORT),
    refusals=(404,),
)
LIST_DELIVERIES = Operation(
    {200: Answer("What the alarm told or tried to, the newest first", list_of("AlarmDelivery"), [_DELIVERY], _NEXT)},
    arguments=(_LIMIT, _marker("id")),
    refusals=(404,),
)
SEND_DELIVERY = Operation(
    {202: Answer("It is on its way", one("AlarmDelivery"), {**_DELIVERY, "state": "waiting", "ended_at": None})},
    summary="Send a message again that failed or was silenced",
    refusals=(404, 409),
)
SHOW_WEBHOOK_KEYS = Operation(
    {200: Answer("The keys", one("WebhookKeys"), _WEBHOOK_KEYS)},
    arguments=(
        Parameter("project_id", "Whose secret; that of the caller's project when left out.", label="Project id"),
    ),
)
LIST_SILENCES = Operation(
    {200: Answer("Silences, the latest start first, also those that are over", list_of("Silence"), [_SILENCE], _NEXT)},
    arguments=(_LIMIT, _marker("id")),
)
POST_SILENCE = Operation(
    {201: Answer("It counts from its start on", one("Silence"), _SILENCE)},
    summary="Make a silence",
    body=one("SilenceToStore"),
    body_example=_SILENCE_TO_STORE,
    refusals=(404,),
)
DELETE_SILENCE = Operation({204: Answer("It is gone", None)}, summary="Remove a silence", refusals=(404,))
QUERY_ALARMS = Operation(
    {200: Answer("Alarms that match, in the order asked for", list_of("Alarm"), [_ALARM], _NEXT)},
    arguments=(_marker("alarm_id"),),
    body=one("ComplexQuery"),
    body_example=_query_example('{"and": [{"=": {"state": "alarm"}}, {">=": {"severity": "moderate"}}]}'),
)
QUERY_HISTORY = Operation(
    {200: Answer("Rows that match, in the order asked for", list_of("AlarmChange"), [_CHANGE], _NEXT)},
    arguments=(_marker("event_id"),),
    body=one("ComplexQuery"),
    body_example=_query_example(f'{{"=": {{"alarm_id": "{_ID}"}}}}'),
)
SHOW_QUOTAS = Operation(
    {200: Answer("The project's quotas", one("AlarmQuota"), _QUOTA)},
    arguments=(Parameter("project_id", "Whose; the caller's project when left out.", label="Project id"),),
)
POST_QUOTAS = Operation(
    {201: Answer("The quotas as they are now", one("AlarmQuota"), _QUOTA)},
    summary="Set a project's quotas",
    body=one("AlarmQuota"),
    body_example=_QUOTA,
)
DELETE_QUOTAS = Operation(
    {204: Answer("The project has no quotas of its own, whether it had some or not", None)},
    summary="Let the settings decide again",
)
