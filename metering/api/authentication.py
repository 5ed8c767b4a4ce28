"""API tokens in the two headers that programs use, and sessions for people."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connection
from django.utils import timezone
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from metering.models import ApiToken, Membership, Role, TokenScope

from .callers import Grant, denied

__all__ = ["Bearer", "SessionAuthentication", "TokenAuthentication", "check_scope", "grant_of"]

logger = logging.getLogger(__name__)
CHALLENGE = 'Token realm="celometer"'
_KEYWORDS = ("token", "bearer")
# Every request asks this: building it anew each time took longer than the store takes to answer.
_USER = f"""
SELECT u.*, t.id AS token_id, t.scopes, t.projects AS only, t.expires_at, t.last_used_at,
    ARRAY(SELECT m.project_id FROM metering_membership m WHERE m.user_id = u.id) AS seen,
    ARRAY(SELECT m.project_id FROM metering_membership m WHERE m.user_id = u.id AND m.role = '{Role.MEMBER}') AS postable
FROM metering_apitoken t JOIN auth_user u ON u.id = t.user_id WHERE t.digest = %s AND t.revoked_at IS NULL AND u.is_active"""
_LAST_USE_STEP = timedelta(minutes=1)
# A row that another process is writing to is left to it: nobody waits for the sake of a time that is shown to people.
_NOTE_USE = """
UPDATE metering_apitoken SET last_used_at = %(now)s WHERE id = (
    SELECT id FROM metering_apitoken
    WHERE id = %(id)s AND (last_used_at IS NULL OR last_used_at <= %(before)s) FOR UPDATE SKIP LOCKED
)
"""


@dataclass(frozen=True, slots=True)
class Bearer:
    """What a token lets whoever sends it do; stands as ``request.auth``."""

    token_id: int
    scopes: tuple[str, ...]
    grant: Grant


class TokenAuthentication(authentication.BaseAuthentication):
    """``Authorization: Token …``, ``Authorization: Bearer …`` or ``X-Auth-Token: …``. One statement; once a minute one more."""

    def authenticate(self, request: Request) -> tuple[Any, Bearer] | None:
        secret = _sent_token(request)
        if secret is None:
            return None
        found = list(get_user_model().objects.raw(_USER, [ApiToken.digest_of(secret)]))
        if not found:
            raise AuthenticationFailed("The token is not known, or was revoked.", "token_unknown")
        (user,) = found
        now = timezone.now()
        if user.expires_at is not None and user.expires_at <= now:
            raise AuthenticationFailed(f"The token expired at {user.expires_at:%Y-%m-%dT%H:%M:%S}.", "token_expired")
        _note_use(user.token_id, user.last_used_at, now)
        grant = Grant(user.is_staff, tuple(user.seen), tuple(user.postable))
        return user, Bearer(user.token_id, tuple(user.scopes), grant.limited_to(user.only) if user.only else grant)

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionAuthentication(authentication.SessionAuthentication):
    """The session of the browsable API and the admin; unsafe requests need Django's CSRF token."""


def grant_of(request: Request) -> Grant:
    """What the authenticated user may do: found with the token, or by one statement. Raises NotAuthenticated."""
    user = request.user
    if not user or not user.is_authenticated:
        raise NotAuthenticated("Authentication required: send a token in Authorization: Token … or X-Auth-Token.")
    if isinstance(request.auth, Bearer):
        return request.auth.grant
    roles = dict(Membership.objects.filter(user=user).values_list("project_id", "role"))
    return Grant(user.is_staff, tuple(roles), tuple(name for name, role in roles.items() if role == Role.MEMBER))


def check_scope(request: Request, needed: TokenScope) -> None:
    """Raises PermissionDenied for a token without the scope; sessions may do all that their user may."""
    bearer = request.auth
    if isinstance(bearer, Bearer) and needed not in bearer.scopes:
        raise denied(
            f"this needs a token with the scope {needed}; this one has {', '.join(bearer.scopes) or 'none'}",
            code="scope_missing",
        )


def _sent_token(request: Request) -> str | None:
    if "HTTP_X_AUTH_TOKEN" in request.META:
        return request.META["HTTP_X_AUTH_TOKEN"].strip()
    keyword, _, secret = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if not keyword:
        return None
    if keyword.lower() not in _KEYWORDS or not secret.strip():
        raise AuthenticationFailed(
            "Authorization header: expected 'Token' or 'Bearer', a blank, and the token.", "token_unknown"
        )
    return secret.strip()


def _note_use(token_id: int, last_used_at: datetime | None, now: datetime) -> None:
    """Remember that the token is in use, at most once a minute. What goes wrong here is no reason to refuse the request."""
    before = now - _LAST_USE_STEP
    if last_used_at is not None and last_used_at > before:
        return
    try:
        with connection.cursor() as cursor:
            cursor.execute(_NOTE_USE, {"now": now, "id": token_id, "before": before})
    except DatabaseError as error:
        logger.warning("the last use of token %s could not be kept: %s", token_id, error)
