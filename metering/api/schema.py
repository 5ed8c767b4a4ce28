"""The OpenAPI document: what the views declare (``operations``), put into drf-spectacular's words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse

from .operations import Answer, Operation, Parameter
from .v2.answers import COMPONENTS

__all__ = ["DeclaredSchema", "add_components", "build_document", "name_paths"]

_JSON = "application/json"
_ERROR = {"$ref": "#/components/schemas/Error"}


_PROJECT = Parameter(
    "X-Project-Id",
    "Narrows the request to this one of the caller's projects. For operators it names where posted samples go.",
)


class _Refusal(NamedTuple):
    """Why a request is answered with a status, and what an answer says."""

    description: str
    code: str
    text: str
    value: str | None = None


_REFUSALS: Mapping[int, _Refusal] = {
    400: _Refusal(
        "An argument or the body is not as it should be; or the path cannot be anything's",
        "invalid_input",
        "Invalid input for field/attribute limit. Value: 'seven'. unable to convert to int. Error: invalid literal for int() with base 10",
        "seven",
    ),
    401: _Refusal(
        "No token, or one that is not known; or a question about a project that the caller does not belong to",
        "foreign_project",
        "Not Authorized to access project p2",
        "p2",
    ),
    403: _Refusal(
        "The caller belongs to no project, or may not do this; a form without its CSRF token",
        "permission_denied",
        "RBAC Authorization Failed",
    ),
    404: _Refusal("No such thing, or none that the caller may see", "not_found", "Sample nope Not Found", "nope"),
    406: _Refusal(
        "The Accept header does not admit JSON",
        "not_acceptable",
        "Accept: text/plain: expected one that admits application/json",
        "text/plain",
    ),
    409: _Refusal(
        "Not as things stand",
        "delivery_not_failed",
        "Delivery c0a4b7f6-4a5e-4c0b-8d6e-3b1f7e2a9c44 is waiting: only one that failed or was silenced can be sent again",
        "waiting",
    ),
    410: _Refusal(
        "The question begins before the time from which samples are kept",
        "no_longer_kept",
        "Samples before 2026-01-01T00:00:00 are no longer kept.",
        "2020-01-01T00:00:00",
    ),
    413: _Refusal(
        "The body is too large", "body_too_large", "Request body exceeded settings.DATA_UPLOAD_MAX_MEMORY_SIZE."
    ),
    415: _Refusal(
        "The body is not JSON by its Content-Type",
        "unsupported_media_type",
        "Unknown mimetype: text/plain",
        "text/plain",
    ),
    422: _Refusal(
        "The Idempotency-Key was sent before with another request",
        "idempotency_key_reused",
        "Idempotency-Key k1: it was sent before with another request",
        "k1",
    ),
    429: _Refusal(
        "Too many requests in this minute; Retry-After says when to go on",
        "too_many_requests",
        "More than 6000 requests of one caller in a minute. Try again in 12 s.",
        "6000",
    ),
    503: _Refusal(
        "The store does not answer, or would need longer than a question may take; Retry-After says when to try again",
        "store_away",
        "The store does not answer at the moment. Try again shortly.",
    ),
}
_OPEN_REFUSALS = (400, 406, 413, 415)
_COMMON_REFUSALS = (*_OPEN_REFUSALS, 401, 403, 429, 503)


class DeclaredSchema(AutoSchema):
    """Describes an ``ApiView`` by what it declares; nothing is guessed."""

    @property
    def operation(self) -> Operation:
        return self.view.operations[self.method]

    def get_operation_id(self) -> str:
        return f"{type(self.view).__name__}_{self.method.lower()}"

    def get_summary(self) -> str:
        return self.operation.summary or self.view.title

    def get_description(self) -> str:
        return self.view.summary

    def get_tags(self) -> list[str]:
        kind = self.path.removeprefix("/v2/").partition("/")[0]
        return [kind if self.path.startswith("/v2/") else "server"]

    def get_override_parameters(self) -> list[OpenApiParameter]:
        return [
            *(_parameter(part, OpenApiParameter.PATH) for part in self.view.path_parameters),
            *(_parameter(argument, OpenApiParameter.QUERY) for argument in self.operation.parameters),
            *(_parameter(header, OpenApiParameter.HEADER) for header in self._headers()),
        ] + [
            OpenApiParameter(name, str, OpenApiParameter.HEADER, description=text, response=[str(status)])
            for status, answer in self.operation.answers.items()
            for name, text in answer.headers.items()
        ]

    def get_request_serializer(self) -> Any:
        return None if self.operation.body is None else {_JSON: dict(self.operation.body)}

    def get_response_serializers(self) -> Any:
        answers = {(str(status), _JSON): _response(answer) for status, answer in self.operation.answers.items()}
        return {**answers, **{(str(status), _JSON): _refused(_REFUSALS[status]) for status in self._refusals()}}

    def get_examples(self) -> list[OpenApiExample]:
        if self.operation.body_example is None:
            return []
        return [OpenApiExample("Example", value=self.operation.body_example, request_only=True, media_type=_JSON)]

    def _headers(self) -> tuple[Parameter, ...]:
        return (*((_PROJECT,) if self.view.authentication_classes else ()), *self.operation.headers)

    def _refusals(self) -> Iterator[int]:
        common = _COMMON_REFUSALS if self.view.authentication_classes else _OPEN_REFUSALS
        yield from sorted({*common, *self.operation.refusals})


def _parameter(declared: Parameter, location: Any) -> OpenApiParameter:
    schema = dict(declared.schema)
    shown = [] if declared.example is None else [OpenApiExample("Example", value=declared.example)]
    return OpenApiParameter(
        declared.name,
        {"type": "array", "items": schema} if declared.repeated else schema,
        location,
        required=location == OpenApiParameter.PATH,
        description=declared.description,
        examples=shown,
        style="form" if declared.repeated else None,
        explode=True if declared.repeated else None,
    )


def _response(answer: Answer) -> OpenApiResponse:
    shown = [] if answer.example is None else [OpenApiExample("Example", value=answer.example)]
    return OpenApiResponse(
        None if answer.schema is None else dict(answer.schema), description=answer.description, examples=shown
    )


def _refused(refusal: _Refusal) -> OpenApiResponse:
    message = {
        "faultcode": "Server" if refusal.code == "store_away" else "Client",
        "faultstring": refusal.text,
        "debuginfo": None,
        "code": refusal.code,
        "value": refusal.value,
        "detail": None,
    }
    shown = OpenApiExample("Example", value={"error_message": message})
    return OpenApiResponse(_ERROR, description=refusal.description, examples=[shown])


class _TokenScheme(OpenApiAuthenticationExtension):
    target_class = "metering.api.authentication.TokenAuthentication"
    name = ["X-Auth-Token", "Authorization"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        text = "An API token: `manage.py token USERNAME --project P` prints one."
        return [
            {"type": "apiKey", "in": "header", "name": "X-Auth-Token", "description": text},
            {"type": "http", "scheme": "bearer", "description": f"{text} `Authorization: Token …` is the same."},
        ]


class _SessionScheme(OpenApiAuthenticationExtension):
    target_class = "metering.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        text = "The session of a person who logged in at `/login/`. Unsafe requests need the header `X-CSRFToken`."
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME, "description": text}


def name_paths(endpoints: list[tuple[str, str, str, Any]], **_: Any) -> list[tuple[str, str, str, Any]]:
    """Paths as they are written in links: without the trailing slash that is accepted, too. Only methods that views declare."""
    return [
        (path.rstrip("/") or "/", regex, method, callback)
        for path, regex, method, callback in endpoints
        if method in getattr(callback.cls, "operations", {})
    ]


def add_components(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """The shapes that answers and bodies are made of."""
    result.setdefault("components", {}).setdefault("schemas", {}).update(COMPONENTS)
    return result


@cache
def _document_text() -> str:
    return json.dumps(SchemaGenerator().get_schema(request=None, public=True))


def build_document(url: str) -> dict[str, Any]:
    """The document of the server at this URL; the caller may change it."""
    document: dict[str, Any] = json.loads(_document_text())
    return {**document, "servers": [{"url": url}]}
