"""Who asks, and whose data that lets them see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rest_framework.exceptions import PermissionDenied

from metering.queries.errors import shorten
from metering.queries.filters import Scope

__all__ = ["Caller", "identify_caller"]


@dataclass(frozen=True, slots=True)
class Caller:
    """A user as the API knows them. ``project`` is the one that posted samples go to when they name none, if there is one."""

    username: str
    is_operator: bool
    projects: tuple[str, ...]
    project: str | None

    @property
    def scope(self) -> Scope:
        """What every query is limited to."""
        return Scope(None if self.is_operator else self.projects)


def identify_caller(username: str, *, is_operator: bool, projects: Iterable[str], chosen: str) -> Caller:
    """The caller, narrowed to the project of the header ``X-Project-Id`` when one was sent.

    Operators see everything whatever the header says: for them it only names where posted samples go. Raises PermissionDenied for
    a user without any project, or a header that names somebody else's.
    """
    own = tuple(sorted(projects))
    if is_operator:
        return Caller(username, True, own, chosen or None)
    if not own:
        raise _denied(
            f"User {username} belongs to no project yet: an operator adds one in /admin/ or by manage.py token."
        )
    if chosen and chosen not in own:
        raise _denied(
            f"X-Project-Id {shorten(chosen)!r} is not a project of user {username}: expected one of {', '.join(own)}"
        )
    seen = (chosen,) if chosen else own
    return Caller(username, False, seen, seen[0] if len(seen) == 1 else None)


def _denied(reason: str) -> PermissionDenied:
    denied = PermissionDenied("RBAC Authorization Failed")
    denied.extra = reason  # type: ignore[attr-defined]
    return denied
