"""What is written into an answer's body: exact JSON, or a page around it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import msgspec
from django.db import DatabaseError
from django.middleware.csrf import get_token
from django.template import loader
from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer

from .tables import build_table

__all__ = ["JsonRenderer", "PageRenderer", "exact"]

_encode = msgspec.json.Encoder(decimal_format="number").encode
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
            "table": build_table(data, absolute=view.absolute),
            "content": _link(msgspec.json.format(_encode(data), indent=2).decode()),
        }
        return loader.render_to_string(self.template, page)


def _describe_view(view: Any, request: Any) -> dict[str, Any]:
    """What the page says beside the answer. Examples may name the page's own path and the meter that it is about."""
    username = _signed_in(request)
    own_path = quote(request.path_info.rstrip("/"))
    return {
        "title": view.title,
        "summary": view.summary,
        "examples": [(text, path.replace("{path}", own_path)) for text, path in view.examples],
        "post_example": view.post_example.replace("{name}", view.kwargs.get("meter", "")),
        "base": view.absolute(""),
        "path": request.get_full_path(),
        "username": username,
        "csrf_token": get_token(request._request) if username else "",
    }


def _signed_in(request: Any) -> str:
    """The user of the session, also on pages that need none; "" without one, or while the store is away."""
    try:
        return request._request.user.get_username()
    except DatabaseError:
        return ""


def _link(text: str) -> SafeString:
    """JSON text, escaped, its URLs as links."""
    return mark_safe(_ESCAPED_URL.sub(r'&quot;<a href="\1">\1</a>&quot;', escape(text)))
