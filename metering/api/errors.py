"""Errors as answers: one shape, a stable code, the offending value. Whatever is raised in a view becomes one here.

``{"error_message": {"faultcode": "Client", "faultstring": text, "debuginfo": null, "code": code, "value": value, "detail": more}}``.
The first three are what Ceilometer's clients read; a refused token has Keystone's ``error`` object in front of it.
"""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from rest_framework import exceptions
from rest_framework.response import Response

from metering.collector.errors import StoreAway
from metering.messages import MessageRefused
from metering.queries.errors import NoLongerKept, QueryError, TooExpensive, shorten

__all__ = [
    "ForeignProject",
    "NotAuthorized",
    "NotFound",
    "OperatorsOnly",
    "Problem",
    "Unacceptable",
    "handle_exception",
    "problem_response",
]

logger = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 5
_REFUSED_TOKENS = frozenset({"not_authenticated", "token_unknown", "token_expired"})


@dataclass(frozen=True, slots=True)
class Problem:
    """All that an error answer says."""

    status: int
    code: str
    text: str
    value: str | None = None
    detail: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        message = {
            "faultcode": "Client" if self.status < 500 else "Server",
            "faultstring": self.text,
            "debuginfo": None,
            "code": self.code,
            "value": self.value,
            "detail": self.detail,
        }
        if self.code in _REFUSED_TOKENS:
            refused = {"code": self.status, "title": "Unauthorized", "message": self.text}
            return {"error": refused, "error_message": message}
        return {"error_message": message}


class NotAuthorized(QueryError):
    """Something that is somebody else's, named by a caller whose token is good: ``detail`` says so. 401, as old programs know it."""

    code = "not_authorized"
    detail = ""


class ForeignProject(NotAuthorized):
    """A question about a project that the caller does not belong to."""

    code = "foreign_project"

    def __init__(self, project: str, *, projects: tuple[str, ...]) -> None:
        super().__init__(f"Not Authorized to access project {shorten(project)}", value=project)
        self.detail = f"The token is valid, but its user belongs to: {', '.join(projects)}. Leave the project out to ask about these."


class OperatorsOnly(ForeignProject):
    """A question about all projects at once, by a caller who sees some: refused in the words that old programs know."""

    def __init__(self, *, projects: tuple[str, ...]) -> None:
        super().__init__(", ".join(projects), projects=projects)
        self.detail = (
            "The token is valid, but event types and traits are those of all projects: only operators see them."
        )


class NotFound(exceptions.NotFound):
    """No such thing, or none that the caller may see: both look the same."""

    def __init__(self, kind: str, name: str, *, text: str | None = None) -> None:
        super().__init__(text or f"{kind} {shorten(name)} Not Found")
        self.value = shorten(name)


class Unacceptable(exceptions.APIException):
    """A request that cannot be read: its body, its type, its size."""

    def __init__(
        self, text: str, *, status: int = 400, code: str = "unreadable_request", value: str | None = None
    ) -> None:
        super().__init__(text, code)
        self.status_code = status
        self.value = value


def handle_exception(error: Exception, context: dict[str, Any]) -> Response | None:
    """The answer for whatever a view raised; None for what is a fault of ours, which Django logs and answers with 500."""
    problem = _describe(error)
    if problem is None:
        return None
    return Response(problem.body(), status=problem.status, headers=problem.headers)


def _describe(error: Exception) -> Problem | None:
    if isinstance(error, QueryError):
        return _describe_query_error(error)
    if isinstance(error, MessageRefused):
        return Problem(400, error.code, f"Invalid input for field/attribute samples. {shorten(error.detail)}")
    if isinstance(error, OperationalError | InterfaceError | StoreAway):
        logger.warning("the store does not answer: %s", error)
        return _store_away()
    if isinstance(error, DataError):
        logger.warning("the store refused a value: %s", error)
        return Problem(400, "unusable_value", "A value in the request is outside of what can be stored or compared.")
    if isinstance(error, exceptions.APIException):
        return _describe_api_exception(error)
    if isinstance(error, Http404):
        return Problem(404, "not_found", "Not Found")
    if isinstance(error, PermissionDenied):
        return Problem(403, "permission_denied", "RBAC Authorization Failed")
    if isinstance(error, RequestDataTooBig):
        return Problem(413, "body_too_large", str(error))
    if isinstance(error, SuspiciousOperation):
        return Problem(400, "bad_request", str(error))
    return None


def _describe_query_error(error: QueryError) -> Problem:
    if isinstance(error, NotAuthorized):
        headers = {"WWW-Authenticate": 'Token realm="celometer"'}
        return Problem(401, error.code, error.text, error.value, error.detail, headers)
    statuses = {TooExpensive: 503, NoLongerKept: 410}
    return Problem(statuses.get(type(error), 400), error.code, error.text, error.value)


def _describe_api_exception(error: exceptions.APIException) -> Problem:
    codes: Any = error.get_codes()
    code = codes if isinstance(codes, str) else error.default_code
    headers = dict(getattr(error, "headers", {}))
    if challenge := getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    return Problem(
        error.status_code,
        code,
        str(error.detail),
        getattr(error, "value", None),
        getattr(error, "extra", None),
        headers,
    )


def _store_away() -> Problem:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return Problem(503, "store_away", "The store does not answer at the moment. Try again shortly.", headers=headers)


def problem_response(problem: Problem) -> HttpResponse:
    """The same shape from outside of the API's views: paths that no view has, and Django's own refusals."""
    return JsonResponse(problem.body(), status=problem.status, headers=problem.headers)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return problem_response(Problem(400, "bad_request", shorten(exception) or "Bad Request"))


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if "text/html" in request.META.get("HTTP_ACCEPT", ""):
        page = {"missing": shorten(request.path)}
        return render(request, "metering/api/missing.html", page, status=404)
    return problem_response(Problem(404, "not_found", "Not Found", shorten(request.path)))


def server_error(request: HttpRequest) -> HttpResponse:
    """Also for pages beside the API, such as the admin, when the store is away."""
    error = sys.exc_info()[1]
    if isinstance(error, OperationalError | InterfaceError):
        return problem_response(_store_away())
    return problem_response(
        Problem(
            500,
            "internal_error",
            "Something went wrong on the server. It has been logged with the time of this request.",
        )
    )
