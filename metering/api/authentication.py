"""API tokens in the two headers that programs use, and sessions for people."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import Q
from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed, NotAuthenticated
from rest_framework.request import Request

from metering.models import ApiToken, Membership

__all__ = ["SessionAuthentication", "TokenAuthentication", "projects_of"]

CHALLENGE = 'Token realm="celometer"'
_KEYWORDS = ("token", "bearer")


class TokenAuthentication(authentication.BaseAuthentication):
    """``Authorization: Token …``, ``Authorization: Bearer …`` or ``X-Auth-Token: …``. One statement."""

    def authenticate(self, request: Request) -> tuple[Any, ApiToken] | None:
        secret = _sent_token(request)
        if secret is None:
            return None
        token = (
            ApiToken.objects.filter(digest=ApiToken.digest_of(secret), revoked_at=None, user__is_active=True)
            .select_related("user")
            .annotate(
                project_ids=ArrayAgg(
                    "user__memberships__project_id", filter=Q(user__memberships__isnull=False), default=[]
                )
            )
            .first()
        )
        if token is None:
            raise AuthenticationFailed("The token is not known, or was revoked.")
        return token.user, token

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
    if isinstance(request.auth, ApiToken):
        return list(request.auth.project_ids)  # type: ignore[attr-defined]
    return list(Membership.objects.filter(user=request.user).values_list("project_id", flat=True))
