"""``/schema/``: the OpenAPI document for programs, and a page that shows it to people."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.views.decorators.http import require_safe
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from .operations import Answer, Operation, Parameter
from .renderers import JsonRenderer, PageRenderer
from .schema import build_document
from .views import OpenView

__all__ = ["SchemaDocument", "show_schema"]


class _OpenApiJson(JsonRenderer):
    media_type = "application/vnd.oai.openapi+json"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return msgspec.json.format(super().render(data, accepted_media_type, renderer_context), indent=2)


class _Yaml(BaseRenderer):
    media_type = "application/yaml"
    format = "yaml"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> str:
        return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=120))


class _OpenApiYaml(_Yaml):
    media_type = "application/vnd.oai.openapi"


_BY_FORMAT: dict[str, type[BaseRenderer]] = {"json": JsonRenderer, "yaml": _Yaml}


class SchemaDocument(OpenView):
    """JSON, or YAML by ``format=yaml`` or the Accept header; a browser is led to the page."""

    schema = None
    title = "Schema"
    summary = "All endpoints with their arguments, answers and errors, as an OpenAPI 3 document."
    renderer_classes = (JsonRenderer, _OpenApiJson, _Yaml, _OpenApiYaml, PageRenderer)
    operations = {
        "GET": Operation(
            {200: Answer("The document", {"type": "object"})},
            arguments=(Parameter("format", "`json` or `yaml`", {"type": "string", "enum": list(_BY_FORMAT)}),),
        )
    }

    def get(self, request: Request) -> HttpResponseBase:
        wanted = self.arguments.choice("format", tuple(_BY_FORMAT))
        if wanted:
            renderer = _BY_FORMAT[wanted]()
            request.accepted_renderer, request.accepted_media_type = renderer, renderer.media_type
        elif isinstance(request.accepted_renderer, PageRenderer):
            return HttpResponseRedirect(self.absolute("/schema/ui/"))
        return Response(build_document(self.absolute("")))


@require_safe
def show_schema(request: HttpRequest) -> HttpResponse:
    """The document as a page on which its requests can be tried; all of it from local files."""
    return render(request, "metering/api/schema.html")
