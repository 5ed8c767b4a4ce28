"""Whose an alarm is (spec §5). An alarm of operators without a project is nobody's else, and about the data of all projects."""

from __future__ import annotations

from alarms.models import Alarm
from metering.api.callers import Caller
from metering.api.errors import ForeignProject
from metering.queries.errors import InvalidInput

from .definitions import Definition
from .errors import ForeignUser

__all__ = ["own_project", "owner_of_changed", "owner_of_new"]


def owner_of_new(wanted: Definition, caller: Caller) -> tuple[str, str]:
    """Project and user. Operators may name anybody. Raises NotAuthorized, InvalidInput."""
    if not caller.is_operator:
        if wanted.user_id not in {None, caller.username}:
            raise ForeignUser(str(wanted.user_id))
        if wanted.project_id is not None and not caller.scope.includes(wanted.project_id):
            raise ForeignProject(wanted.project_id, projects=caller.projects)
    project = own_project(caller) if wanted.project_id is None else wanted.project_id
    return project, wanted.user_id or caller.username


def owner_of_changed(wanted: Definition, alarm: Alarm, caller: Caller) -> tuple[str, str]:
    """Operators give alarms away; what others say of the owner changes nothing: clients send back whatever they were sent."""
    if not caller.is_operator:
        return alarm.project_id, alarm.user_id
    project = alarm.project_id if wanted.project_id is None else wanted.project_id
    return project, wanted.user_id or alarm.user_id


def own_project(caller: Caller) -> str:
    """The project that is meant where none is named. Raises InvalidInput where there are several."""
    if caller.project is None and not caller.is_operator:
        raise InvalidInput(
            "project_id",
            None,
            f"You belong to {', '.join(caller.projects)}: name one, in the body or in the header X-Project-Id.",
        )
    return caller.project or ""
