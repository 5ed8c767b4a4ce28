"""API tokens in the two headers that programs use, and sessions for people."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from metering.models import ApiToken, Membership

__all__ = ["SessionAuthentication", "TokenAuthentication", "projects_of"]

CHALLENGE = 'Token realm="celometer"'
_KEYWORDS = ("token", "bearer")
# Every request asks this: building it anew each time took longer than the store takes to answer.
_USER = """
SELECT u.*, ARRAY(SELECT m.project_id FROM metering_membership m WHERE m.user_id = u.id) AS project_ids
FROM metering_apitoken t JOIN auth_user u ON u.id = t.user_id WHERE t.digest = %s AND t.revoked_at IS NULL AND u.is_active"""


class Projects(tuple[str, ...]):
    """What a token lets its bearer see; stands as ``request.auth``."""

    __slots__ = ()


class TokenAuthentication(authentication.BaseAuthentication):
    """``Authorization: Token …``, ``Authorization: Bearer …`` or ``X-Auth-Token: …``. One statement."""

    def authenticate(self, request: Request) -> tuple[Any, Projects] | None:
        secret = _sent_token(request)
        if secret is None:
            return None
        found = list(get_user_model().objects.raw(_USER, [ApiToken.digest_of(secret)]))
        if not found:
            raise AuthenticationFailed("The token is not known, or was revoked.")
        return found[0], Projects(found[0].project_ids)

    def authenticate_header(self, request: Request) -> str:
        return CHALLENGE


class SessionAuthentication(authentication.SessionAuthentication):
    """The session of the browsable API and the admin; unsafe requests need Django's CSRF token."""


def _sent_token(request: Request) -> str | None:
    if "HTTP_X_AUTH_TOKEN" in request.META:
        return request.META["HTTP_X_AUTH_TOKEN"].strip()
    keyword, _, secret = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if not keyword:
        return None
    if keyword.lower() not in _KEYWORDS or not secret.strip():
        raise AuthenticationFailed("Authorization header: expected 'Token' or 'Bearer', a blank, and the token.")
    return secret.strip()


def projects_of(request: Request) -> list[str]:
    """The projects of the authenticated user: with the token, or by one statement. Raises NotAuthenticated."""
    if not request.user or not request.user.is_authenticated:
        raise NotAuthenticated("Authentication required: send a token in Authorization: Token … or X-Auth-Token.")
    if isinstance(request.auth, Projects):
        return list(request.auth)
    return list(Membership.objects.filter(user=request.user).values_list("project_id", flat=True))
