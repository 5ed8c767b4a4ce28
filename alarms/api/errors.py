"""What can be wrong with a request about alarms, in the words of Aodh (spec §4.1)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rest_framework.exceptions import PermissionDenied

from alarms.rules.contract import BadRule
from metering.api.callers import denied
from metering.api.errors import NotAuthorized, NotFound, Unacceptable
from metering.queries.errors import QueryError, shorten

__all__ = ["AlarmNotFound", "BadDefinition", "DeliveryNotFailed", "DeliveryNotFound", "ForeignUser", "MemberNotFound", "OperatorsAction",
           "SilenceNotFound", "as_refusals", "operators_only", "quota_exceeded"]  # fmt: skip


class BadDefinition(QueryError):
    """A definition that cannot be stored."""

    code = "invalid_input"


class ForeignUser(NotAuthorized):
    """An alarm that is to belong to somebody else."""

    code = "foreign_user"

    def __init__(self, user: str) -> None:
        super().__init__(f"Not Authorized to access user {shorten(user)}", value=user)
        self.detail = "The token is valid: leave user_id out, and the alarm is its user's."


class OperatorsAction(NotAuthorized):
    """An action that happens on the server itself."""

    code = "operators_action"

    def __init__(self, url: str) -> None:
        super().__init__(f"You are not authorized to create action: {shorten(url)}", value=url)
        self.detail = "The token is valid, but only operators may have actions of this scheme."


class AlarmNotFound(NotFound):
    """No such alarm, or none that the caller may see: both look the same."""

    def __init__(self, alarm_id: str) -> None:
        super().__init__("Alarm", alarm_id, text=f"Alarm {shorten(alarm_id)} not found")


class MemberNotFound(NotFound):
    """A combination of an alarm that is not there for the project that the combination belongs to."""

    def __init__(self, alarm_id: str, project: str) -> None:
        super().__init__("Alarm", alarm_id, text=f"Alarm {shorten(alarm_id)} not found in project {shorten(project)}")


class DeliveryNotFound(NotFound):
    """No such delivery of the alarm."""

    def __init__(self, delivery_id: str) -> None:
        super().__init__("Delivery", delivery_id, text=f"Delivery {shorten(delivery_id)} not found")


class DeliveryNotFailed(Unacceptable):
    """One that cannot be sent again: it is under way, or has arrived."""

    def __init__(self, delivery_id: str, state: str) -> None:
        text = f"Delivery {shorten(delivery_id)} is {state}: only one that failed or was silenced can be sent again"
        super().__init__(text, status=409, code="delivery_not_failed", value=state)


class SilenceNotFound(NotFound):
    """No such silence, or none that the caller may see."""

    def __init__(self, silence_id: str) -> None:
        super().__init__("Silence", silence_id, text=f"Silence {shorten(silence_id)} not found")


def quota_exceeded(user: str, project: str) -> PermissionDenied:
    return PermissionDenied(
        f"Alarm quota exceeded for user {shorten(user)} on project {shorten(project)}", "quota_exceeded"
    )


def operators_only(what: str) -> PermissionDenied:
    return denied(f"{what} is for operators", code="operators_only")


@contextmanager
def as_refusals() -> Iterator[None]:
    """What rules refuse becomes an answer."""
    try:
        yield
    except BadRule as error:
        raise BadDefinition(error.text, value=error.value) from error
