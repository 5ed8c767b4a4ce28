"""What every page has around its contents: where the site begins, and who looks at it."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

__all__ = ["describe_site"]


def describe_site(request: HttpRequest) -> dict[str, Any]:
    """For templates: the prefix that the site is served under, this page's path, and the person of the session."""
    return {
        "base": request.META.get("SCRIPT_NAME", "").rstrip("/"),
        "path": request.get_full_path(),
        "person": SimpleLazyObject(lambda: _person(request)),
    }


def _person(request: HttpRequest) -> Any:
    """The session's user, nobody while the store is away: also pages that need no store have a header."""
    try:
        return request.user if request.user.is_authenticated else AnonymousUser()
    except (DatabaseError, AttributeError):
        return AnonymousUser()
