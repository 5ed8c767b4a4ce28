"""``/v2/alarms/ID/history``: what happened to an alarm, also when it is gone."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from metering.api.paths import name_in_path
from metering.queries.simple import named_projects

from . import contract
from .alarms import ALARM_ID
from .errors import AlarmNotFound
from .filters import filter_history
from .lists import CHANGE_KEYS, ListView
from .scoping import read_id, visible_alarms, visible_changes
from .shapes import change_shape

__all__ = ["AlarmHistory"]


class AlarmHistory(ListView):
    title = "An alarm's history"
    summary = "Who changed what, and which states the alarm went through, the newest first. It is kept when the alarm is removed."
    operations = {"GET": contract.LIST_HISTORY}
    path_parameters = (ALARM_ID,)
    examples = (
        ("Its transitions", "{path}?q.field=type&q.value=state%20transition"),
        ("Since yesterday", "{path}?q.field=timestamp&q.op=ge&q.value={day}"),
        ("All alarms", "/v2/alarms"),
    )

    def get(self, request: Request, alarm_id: str) -> Response:
        self.check_projects(named_projects(self.arguments.items))
        wanted = filter_history(self.arguments.items)
        name = name_in_path(alarm_id)
        id = read_id(name)
        if id is None:
            raise AlarmNotFound(name)
        found = visible_changes(self.scope).filter(alarm_id=id)
        if not (found.exists() or visible_alarms(self.scope).filter(id=id).exists()):
            raise AlarmNotFound(name)
        return self.answer_list(found.filter(wanted), among=found, keys=CHANGE_KEYS, shape=change_shape)
