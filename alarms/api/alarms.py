"""``/v2/alarms``: definitions, and the states that they are in."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from alarms.rules.decision import STATES
from metering.api.arguments import read_json
from metering.api.operations import Parameter
from metering.api.paths import alarm_path, name_in_path
from metering.api.views import ApiView
from metering.models import TokenScope
from metering.queries.errors import InvalidInput
from metering.queries.simple import named_projects

from . import contract
from .definitions import Definition, parse_definition
from .filters import filter_alarms
from .lists import ALARM_KEYS, ListView
from .scoping import find_alarm, visible_alarms
from .shapes import alarm_shape
from .storing import create_alarm, delete_alarm, replace_alarm, set_state

__all__ = ["ALARM_ID", "AlarmDetail", "AlarmList", "AlarmState"]

ALARM_ID = Parameter("alarm_id", "The alarm's id.", {"type": "string", "format": "uuid"})


class _DefiningView(ApiView):
    writing_scope = TokenScope.ALARMS

    def read_definition(self, request: Request) -> Definition:
        assert self.caller is not None
        return parse_definition(read_json(request._request), is_operator=self.caller.is_operator)


class AlarmList(_DefiningView, ListView):
    title = "Alarms"
    summary = (
        "What somebody wants to be told about: a rule, the state that it is in, and the URLs that are told of a state. Everybody of a "
        "project sees its alarms. POST one to make it."
    )
    operations = {"GET": contract.LIST_ALARMS, "POST": contract.POST_ALARM}
    examples = (
        ("In alarm", "/v2/alarms?q.field=state&q.value=alarm"),
        ("The gravest first", "/v2/alarms?sort=severity:desc&sort=name"),
        ("Events that alarms can be about", "/v2/events?limit=20"),
    )

    def get(self, request: Request) -> Response:
        assert self.caller is not None
        self.check_projects(named_projects(self.arguments.items))
        wanted = filter_alarms(self.arguments.items, caller=self.caller)
        found = visible_alarms(self.scope)
        return self.answer_list(found.filter(wanted), among=found, keys=ALARM_KEYS, shape=alarm_shape)

    def post(self, request: Request) -> Response:
        assert self.caller is not None
        alarm = create_alarm(self.read_definition(request), self.caller)
        location = self.absolute(alarm_path(str(alarm.id)))
        return Response(alarm_shape(alarm), status=201, headers={"Location": location})


class AlarmDetail(_DefiningView):
    title = "Alarm"
    summary = (
        "One alarm. PUT replaces all of its definition: what is left out falls back to its default, the state too."
    )
    operations = {"GET": contract.SHOW_ALARM, "PUT": contract.PUT_ALARM, "DELETE": contract.DELETE_ALARM}
    path_parameters = (ALARM_ID,)
    examples = (("What happened to it", "{path}/history"), ("Its state", "{path}/state"), ("All alarms", "/v2/alarms"))

    def get(self, request: Request, alarm_id: str) -> Response:
        return Response(alarm_shape(find_alarm(name_in_path(alarm_id), visible_alarms(self.scope))))

    def put(self, request: Request, alarm_id: str) -> Response:
        assert self.caller is not None
        name = name_in_path(alarm_id)
        # What is not there is told before what is wrong with the rest.
        find_alarm(name, visible_alarms(self.scope))
        return Response(alarm_shape(replace_alarm(name, self.read_definition(request), self.caller)))

    def delete(self, request: Request, alarm_id: str) -> Response:
        assert self.caller is not None
        delete_alarm(name_in_path(alarm_id), self.caller)
        return Response(status=204)


class AlarmState(ApiView):
    title = "An alarm's state"
    summary = "Text alone. PUT another one to set it by hand: it is kept in the history, and the next evaluation may change it again."
    operations = {"GET": contract.SHOW_STATE, "PUT": contract.PUT_STATE}
    path_parameters = (ALARM_ID,)
    writing_scope = TokenScope.ALARMS
    examples = (("All alarms", "/v2/alarms"),)

    def get(self, request: Request, alarm_id: str) -> Response:
        return Response(find_alarm(name_in_path(alarm_id), visible_alarms(self.scope)).state)

    def put(self, request: Request, alarm_id: str) -> Response:
        assert self.caller is not None
        name = name_in_path(alarm_id)
        find_alarm(name, visible_alarms(self.scope))
        state = read_json(request._request)
        if state not in STATES:
            raise InvalidInput("state", state, f"state invalid: expected one of {', '.join(STATES)}")
        set_state(name, state, self.caller)
        return Response(state)
