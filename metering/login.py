"""Logging in, at ``/login/`` and to the admin alike: django-axes counts failures and refuses further guesses for a while; here is
what the person is told.
"""

from __future__ import annotations

from datetime import timedelta
from math import ceil
from typing import Any

from axes.handlers.proxy import AxesProxyHandler
from axes.models import AccessAttempt
from django.conf import settings
from django.contrib.admin.forms import AdminAuthenticationForm
from django.contrib.auth.forms import AuthenticationForm
from django.core.exceptions import ValidationError
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

__all__ = ["AdminLoginForm", "LoginForm", "answer_locked_out"]


_LONGEST_NAME = 150


class _GuardedForm:
    """A form of which the error says how long to wait, once a login is refused whatever the password."""

    request: Any
    cleaned_data: dict[str, Any]

    def clean(self) -> dict[str, Any]:
        # A name that nobody can have is not even looked up: where failures are counted it would not fit.
        if len(self.cleaned_data.get("username") or "") > _LONGEST_NAME:
            raise self.get_invalid_login_error()
        return super().clean()  # type: ignore[misc]

    def get_invalid_login_error(self) -> ValidationError:
        if not getattr(self.request, "axes_locked_out", False):
            return super().get_invalid_login_error()  # type: ignore[misc]
        minutes = ceil(_wait(self.request, self.cleaned_data.get("username")) / timedelta(minutes=1))
        wait = "a minute" if minutes == 1 else f"{minutes} minutes"
        return ValidationError(f"Too many failed logins: try again in {wait}, or ask an operator.", code="locked_out")


class LoginForm(_GuardedForm, AuthenticationForm):
    """Of the browsable API."""


class AdminLoginForm(_GuardedForm, AdminAuthenticationForm):
    """Of the admin."""


def answer_locked_out(
    request: HttpRequest, response: HttpResponse, credentials: dict[str, Any] | None = None
) -> HttpResponse:
    """The page with the form, as 429 with Retry-After."""
    response.status_code = 429
    wait = _wait(request, (credentials or {}).get("username"))
    response.headers["Retry-After"] = str(ceil(wait.total_seconds()))
    return response


def _wait(request: HttpRequest, username: str | None) -> timedelta:
    """How long this user and address are still refused: failures are forgotten this long after the last of them."""
    AxesProxyHandler.update_request(request)
    address = request.axes_ip_address  # type: ignore[attr-defined]
    failures = AccessAttempt.objects.filter(username=username, ip_address=address)
    last = failures.aggregate(last=Max("attempt_time"))["last"] or timezone.now()
    return max(last + settings.AXES_COOLOFF_TIME - timezone.now(), timedelta(seconds=1))
