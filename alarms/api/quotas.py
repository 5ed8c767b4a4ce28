"""``/v2/quotas``: how many alarms a project may have. Operators set it."""

from __future__ import annotations

from typing import Any

from rest_framework.request import Request
from rest_framework.response import Response

from alarms.models import AlarmQuota
from alarms.rules.contract import BadRule
from alarms.rules.fields import Fields
from metering.api.arguments import read_json
from metering.api.callers import denied
from metering.api.operations import Parameter
from metering.api.paths import name_in_path
from metering.api.views import ApiView
from metering.models import TokenScope
from metering.queries.errors import InvalidInput, shorten

from . import contract
from .definitions import check_texts
from .errors import as_refusals, operators_only
from .limits import find_limit
from .ownership import own_project

__all__ = ["QuotaDetail", "QuotaList"]

_RESOURCE = "alarms"
_MOST_ENTRIES = 10
_LARGEST = 2**31 - 1


class _OperatorsView(ApiView):
    writing_scope = TokenScope.ALARMS

    def check_operator(self) -> None:
        assert self.caller is not None
        if not self.caller.is_operator:
            raise operators_only("setting quotas")


class QuotaList(_OperatorsView):
    title = "Quotas"
    summary = (
        "How many alarms a project may have, -1 for any number: its own quota, else that of the settings. Operators POST one to "
        "set it."
    )
    operations = {"GET": contract.SHOW_QUOTAS, "POST": contract.POST_QUOTAS}
    examples = (("Alarms", "/v2/alarms"),)

    def get(self, request: Request) -> Response:
        assert self.caller is not None
        named = self.arguments.text("project_id", None)
        if named and not self.scope.includes(named):
            raise denied(f"the quotas of project {shorten(named)} are not yours to see")
        return Response(_shape(named or own_project(self.caller)))

    def post(self, request: Request) -> Response:
        self.check_operator()
        project, limits = _parse(read_json(request._request))
        for limit in limits:
            AlarmQuota.objects.update_or_create(project_id=project, defaults={"limit": limit})
        return Response(_shape(project), status=201)


class QuotaDetail(_OperatorsView):
    title = "A project's quotas"
    summary = "DELETE alone, by operators: the settings decide again how many alarms the project may have."
    operations = {"DELETE": contract.DELETE_QUOTAS}
    path_parameters = (Parameter("project_id", "The project's id.", example="p1"),)
    examples = (("Quotas", "/v2/quotas"),)

    def delete(self, request: Request, project_id: str) -> Response:
        self.check_operator()
        AlarmQuota.objects.filter(project_id=name_in_path(project_id)).delete()
        return Response(status=204)


def _shape(project: str) -> dict[str, Any]:
    return {"project_id": project, "quotas": [{"resource": _RESOURCE, "limit": find_limit(project)}]}


def _parse(body: Any) -> tuple[str, list[int]]:
    """The project, and the limits that it is given: the last one counts. Raises QueryError."""
    if body is None:
        raise InvalidInput("data", None, "Mandatory field missing.")
    check_texts("data", body)
    with as_refusals():
        fields = Fields.of(body, path="data", known=("project_id", "quotas"))
        fields.required("quotas")
        entries = fields.entries("quotas", most=_MOST_ENTRIES)
        return fields.text("project_id"), [_parse_entry(entry) for entry in entries]


def _parse_entry(entry: Any) -> int:
    fields = Fields.of(entry, path="data.quotas", known=("resource", "limit"))
    resource = fields.text("resource")
    if resource != _RESOURCE:
        raise BadRule.of_field("resource", resource, f"Value should be one of: {_RESOURCE}")
    return fields.integer("limit", least=-1, most=_LARGEST)
