"""``/v2/silences``: times in which a project's alarms tell nobody."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response

from alarms.models import Severity, Silence
from alarms.rules.contract import BadRule
from alarms.rules.fields import Fields
from metering.api.arguments import read_json
from metering.api.callers import Caller
from metering.api.errors import ForeignProject
from metering.api.operations import Parameter
from metering.api.paths import name_in_path
from metering.api.views import ApiView
from metering.models import TokenScope
from metering.queries.errors import InvalidInput
from metering.queries.values import parse_timestamp

from . import contract
from .definitions import check_texts
from .errors import SilenceNotFound, as_refusals
from .filters import read_severity
from .lists import Key, ListView
from .ownership import own_project
from .scoping import check_may_change, find_alarm, read_id, visible_alarms, visible_silences
from .shapes import silence_shape

__all__ = ["SilenceDetail", "SilenceList"]

_KNOWN = ("project_id", "alarm_id", "name", "severity", "starts_at", "ends_at", "comment")
_ORDER = (Key("starts_at", descending=True), Key("id"))
_MOST_CHARACTERS = 10_000
# All that are not over are looked through at each transition.
_MOST_OPEN = 1000


class SilenceList(ListView):
    title = "Silences"
    summary = (
        "Times in which alarms of a project tell nobody: all of them, or those that fit an alarm's id, a pattern of names and a severity, "
        "as far as they are given. What would have been sent is kept. POST one to make it."
    )
    operations = {"GET": contract.LIST_SILENCES, "POST": contract.POST_SILENCE}
    writing_scope = TokenScope.ALARMS
    examples = (("Alarms", "/v2/alarms"),)

    def get(self, request: Request) -> Response:
        found = visible_silences(self.scope)
        limit = self.check_list_limit(self.arguments.integer("limit", 0))
        return self.answer_ordered(found, among=found, order=_ORDER, limit=limit, shape=silence_shape)

    def post(self, request: Request) -> Response:
        assert self.caller is not None
        silence = _parse(read_json(request._request), self.caller)
        silence.save(force_insert=True)
        return Response(silence_shape(silence), status=201)


class SilenceDetail(ApiView):
    title = "A silence"
    summary = "DELETE alone: the alarms that it kept quiet tell what happens from now on."
    operations = {"DELETE": contract.DELETE_SILENCE}
    path_parameters = (Parameter("silence_id", "The silence's id.", {"type": "string", "format": "uuid"}),)
    writing_scope = TokenScope.ALARMS
    examples = (("Silences", "/v2/silences"),)

    def delete(self, request: Request, silence_id: str) -> Response:
        assert self.caller is not None
        name = name_in_path(silence_id)
        id = read_id(name)
        with transaction.atomic():
            silence = visible_silences(self.scope).select_for_update().filter(id=id).first() if id else None
            if silence is None:
                raise SilenceNotFound(name)
            check_may_change(self.caller, silence.project_id)
            silence.delete()
        return Response(status=204)


def _parse(body: Any, caller: Caller) -> Silence:
    """What the body asks for, not stored yet. Raises QueryError, PermissionDenied, AlarmNotFound."""
    if body is None:
        raise InvalidInput("data", None, "Mandatory field missing.")
    check_texts("data", body)
    now = timezone.now()
    with as_refusals():
        fields = Fields.of(body, path="data", known=_KNOWN)
        project = _project(fields, caller)
        silence = Silence(
            project_id=project,
            name=fields.text("name", "", may_be_empty=True),
            severity=_severity(fields),
            starts_at=_time(fields, "starts_at") if fields.has("starts_at") else now,
            ends_at=_time(fields, "ends_at"),
            comment=fields.text("comment", "", most=_MOST_CHARACTERS, may_be_empty=True),
            user_id=caller.username,
            made_at=now,
        )
        if silence.ends_at <= max(now, silence.starts_at):
            raise BadRule.of_field(
                "ends_at", fields.body["ends_at"], "expected a time after the start, and not over yet"
            )
        if Silence.objects.filter(project_id=project, ends_at__gt=now).count() >= _MOST_OPEN:
            raise BadRule(f"A project has at most {_MOST_OPEN} silences that are not over", value=_MOST_OPEN)
        if fields.has("alarm_id"):
            silence.alarm_id = find_alarm(
                fields.text("alarm_id"), visible_alarms(caller.scope).filter(project_id=project)
            ).id
    return silence


def _project(fields: Fields, caller: Caller) -> str:
    """Whose alarms are silenced. Raises ForeignProject, PermissionDenied, InvalidInput, BadRule."""
    project = fields.text("project_id") if fields.has("project_id") else own_project(caller)
    if not caller.scope.includes(project):
        raise ForeignProject(project, projects=caller.projects)
    check_may_change(caller, project)
    return project


def _severity(fields: Fields) -> Severity | None:
    return read_severity(fields.text("severity")) if fields.has("severity") else None


def _time(fields: Fields, name: str) -> datetime:
    text = fields.text(name)
    try:
        return parse_timestamp(text)
    except InvalidInput:
        raise BadRule.of_field(name, text, "expected an ISO 8601 time, such as 2026-01-01T10:00:00") from None
