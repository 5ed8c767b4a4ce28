"""Who asks, whose data that lets them see, and where it lets them post."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rest_framework.exceptions import PermissionDenied

from metering.queries.errors import shorten
from metering.queries.filters import Scope

__all__ = ["Caller", "Grant", "denied", "identify_caller"]


@dataclass(frozen=True, slots=True)
class Grant:
    """What a user's memberships and token allow: to see ``projects`` (all data for operators), and to post into ``postable``."""

    is_operator: bool
    projects: tuple[str, ...]
    postable: tuple[str, ...]

    def limited_to(self, projects: Iterable[str]) -> Grant:
        """The same, of these projects alone: an operator becomes a member of them and nothing else."""
        wanted = tuple(projects)
        if self.is_operator:
            return Grant(False, wanted, wanted)
        seen = tuple(name for name in self.projects if name in wanted)
        return Grant(False, seen, tuple(name for name in self.postable if name in wanted))


@dataclass(frozen=True, slots=True)
class Caller:
    """A user as the API knows them. ``project`` is the one that posted samples go to when they name none, if there is one."""

    username: str
    is_operator: bool
    projects: tuple[str, ...]
    project: str | None
    postable: tuple[str, ...] = ()

    @property
    def scope(self) -> Scope:
        """What every query is limited to."""
        return Scope(None if self.is_operator else self.projects)

    def check_may_post(self, project: str) -> None:
        """Raises PermissionDenied where the caller sees the project's data but only as a reader."""
        if not (self.is_operator or project in self.postable):
            raise denied(
                f"posting to project {shorten(project)} needs the role member, and {self.username} is a reader of it",
                code="role_missing",
            )


def identify_caller(username: str, grant: Grant, *, chosen: str) -> Caller:
    """The caller, narrowed to the project of the header ``X-Project-Id`` when one was sent.

    Operators see everything whatever the header says: for them it only names where posted samples go. Raises PermissionDenied for
    a user without any project, or a header that names somebody else's.
    """
    own = tuple(sorted(grant.projects))
    if grant.is_operator:
        return Caller(username, True, own, chosen or None)
    if not own:
        raise denied(
            extra=f"User {username} belongs to no project yet: an operator adds one in /admin/ or by manage.py token."
        )
    if chosen and chosen not in own:
        raise denied(
            extra=f"X-Project-Id {shorten(chosen)!r} is not a project of user {username}: expected one of {', '.join(own)}"
        )
    seen = (chosen,) if chosen else own
    return Caller(username, False, seen, seen[0] if len(seen) == 1 else None, grant.postable)


def denied(reason: str = "", *, code: str = "permission_denied", extra: str | None = None) -> PermissionDenied:
    """A refusal as Ceilometer words it, then the reason. ``extra`` is told beside it."""
    opening = "RBAC Authorization Failed"
    refusal = PermissionDenied(f"{opening}: {reason}" if reason else opening, code)
    refusal.extra = extra  # type: ignore[attr-defined]
    return refusal
