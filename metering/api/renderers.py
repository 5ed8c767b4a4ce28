"""What is written into an answer's body: exact JSON, or a page around it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
from django.template import loader
from django.utils import timezone
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer

from .forms import make_form
from .tables import build_table

__all__ = ["JsonRenderer", "PageRenderer", "exact"]

_encode = msgspec.json.Encoder(decimal_format="number").encode
_NEXT_LINK = re.compile(r'<([^>]*)>; rel="next"')
_ESCAPED_URL = re.compile(r"&quot;(https?://[^\s&]+(?:&amp;[^\s&;]+)*)&quot;")


def exact(value: Decimal | int) -> Decimal:
    """The number as answers print it: every digit, no float in between; whole numbers with ``.0``, as old clients expect."""
    text = format(Decimal(value), "f")
    if "." not in text:
        return Decimal(f"{text}.0")
    whole, _, fraction = text.partition(".")
    return Decimal(f"{whole}.{fraction.rstrip('0') or '0'}")


class JsonRenderer(BaseRenderer):
    """JSON without charset parameter; Decimals become number literals with all their digits."""

    media_type = "application/json"
    format = "json"
    charset = None
    render_style = "binary"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        return b"" if data is None else _encode(data)


class PageRenderer(BrowsableAPIRenderer):
    """The answer as a page: what it is, examples that work when clicked, the JSON as a program gets it."""

    template = "metering/api/page.html"
    format = "page"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> str:
        context: Mapping[str, Any] = renderer_context or {}
        request, response, view = context["request"], context["response"], context["view"]
        if response.status_code == 204 or data is None:
            return ""
        page = {
            **_describe_view(view, request),
            "method": request.method,
            "status": f"{response.status_code} {response.status_text}",
            "is_error": response.status_code >= 400,
            "needs_login": response.status_code == 401,
            "count": len(data) if isinstance(data, list) else None,
            "next_page": _next_page(response),
            "table": build_table(data, absolute=view.absolute),
            "content": _link(msgspec.json.format(_encode(data), indent=2).decode()),
        }
        return loader.render_to_string(self.template, page, request=request._request)


def _describe_view(view: Any, request: Any) -> dict[str, Any]:
    """What the page says beside the answer. Examples may name the page's own path, its meter, and a time not long ago."""
    own_path = quote(request.path_info.rstrip("/"))
    asked, posted = view.operations.get("GET"), view.operations.get("POST")
    return {
        "title": view.title,
        "summary": view.summary,
        "examples": [(text, fill_example(path, own_path)) for text, path in view.examples],
        "form": make_form(asked, getattr(view, "arguments", None)) if asked else None,
        "form_path": request.path_info,
        "post_example": posted and _indented(posted.body_example),
        "url": request.build_absolute_uri(),
    }


def fill_example(path: str, own_path: str) -> str:
    """The path of an example: ``{path}`` is its page's own, ``{day}``, ``{week}`` and ``{month}`` are dates as long ago."""
    today = timezone.now().date()
    ages = {"{day}": 1, "{week}": 7, "{month}": 31}
    for name, days in ages.items():
        path = path.replace(name, (today - timedelta(days=days)).isoformat())
    return path.replace("{path}", own_path)


def _indented(example: Any) -> str:
    return "" if example is None else msgspec.json.format(_encode(example), indent=2).decode()


def _next_page(response: Any) -> str:
    found = _NEXT_LINK.match(response.headers.get("Link", ""))
    return found[1] if found else ""


def _link(text: str) -> SafeString:
    """JSON text, escaped, its URLs as links."""
    return mark_safe(_ESCAPED_URL.sub(r'&quot;<a href="\1">\1</a>&quot;', escape(text)))
