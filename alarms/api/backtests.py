"""``POST /v2/alarms/backtest``: what a rule would have done in the past."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from alarms.evaluation.backtest import Transition, backtest, interval_seconds
from alarms.evaluation.scopes import scope_of
from alarms.models import Alarm
from alarms.rules.contract import BadRule
from alarms.rules.fields import Fields
from alarms.rules.registry import rule_types
from alarms.rules.translations import NotEvaluable
from metering.api.arguments import read_json
from metering.api.callers import Caller
from metering.api.errors import ForeignProject
from metering.api.v2.shapes import format_time
from metering.api.views import ApiView
from metering.queries.errors import InvalidInput
from metering.queries.values import parse_timestamp

from . import contract
from .definitions import check_texts, parse_rule
from .errors import BadDefinition, as_refusals
from .ownership import own_project
from .references import check_references
from .time_constraints import parse_time_constraints

__all__ = ["AlarmBacktest"]

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_KEYS = ("type", "start", "end", "time_constraints", "project_id")


class AlarmBacktest(ApiView):
    title = "Back-test of an alarm"
    summary = (
        "POST a rule and a range of time: which transitions an alarm with this rule would have had, from what is stored of that time, by "
        "the code that evaluates alarms. Nothing is stored and nobody is told."
    )
    operations = {"POST": contract.BACKTEST}
    examples = (("Alarms", "/v2/alarms"), ("Meters that a rule can be about", "/v2/meters?unique=True"))

    def post(self, request: Request) -> Response:
        assert self.caller is not None
        wanted = _parse(read_json(request._request), self.caller)
        alarm, end = wanted.alarm, min(wanted.end, timezone.now())
        try:
            interval = interval_seconds(alarm.rule, alarm.type, end)
            found = backtest(
                alarm.rule, alarm.type, scope_of(alarm), wanted.start, end, time_constraints=alarm.time_constraints
            )
        except NotEvaluable as error:
            raise BadDefinition(f"The rule cannot be tested: {error}", value=alarm.type) from error
        return Response({"interval": interval, "transitions": [_shape(transition) for transition in found]})


class _Wanted(NamedTuple):
    """``alarm`` is as one that would be stored, and is not."""

    alarm: Alarm
    start: datetime
    end: datetime


def _parse(body: Any, caller: Caller) -> _Wanted:
    """Raises QueryError for the first thing that is wrong, ForeignProject for what is about another project."""
    if body is None:
        raise InvalidInput("data", None, "Mandatory field missing.")
    check_texts("data", body)
    with as_refusals():
        fields = Fields.of(body, path="data", known={*_KEYS, *(f"{name}_rule" for name in rule_types())})
        type_name = fields.choice("type", tuple(rule_types()))
        alarm = Alarm(
            type=type_name,
            rule=parse_rule(fields, type_name),
            time_constraints=parse_time_constraints(fields),
            project_id=_project(fields, caller),
        )
        start, end = _time(fields, "start"), _time(fields, "end")
    if type_name == "combination":
        raise BadDefinition("The rule cannot be tested: it is about states of other alarms", value=type_name)
    check_references(alarm)
    if start < _BEGINNING:
        raise InvalidInput("start", fields.text("start"), "expected a time after 1970-01-01")
    if start >= end:
        raise InvalidInput("end", fields.text("end"), "expected a time after the start")
    return _Wanted(alarm, start, end)


def _project(fields: Fields, caller: Caller) -> str:
    """Whose alarm it would be."""
    if not fields.has("project_id"):
        return own_project(caller)
    named = fields.text("project_id")
    if not caller.scope.includes(named):
        raise ForeignProject(named, projects=caller.projects)
    return named


def _time(fields: Fields, name: str) -> datetime:
    text = fields.text(name)
    try:
        return parse_timestamp(text)
    except InvalidInput as error:
        raise BadRule.of_field(name, text, "expected a time as ISO 8601, such as 2026-01-01T00:00:00") from error


def _shape(transition: Transition) -> dict[str, Any]:
    return {
        "timestamp": format_time(transition.at),
        "previous": transition.previous,
        "state": transition.current,
        "reason": transition.reason,
        "reason_data": transition.reason_data,
    }
