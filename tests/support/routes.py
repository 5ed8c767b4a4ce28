"""What the URL configuration leads to, for tests that walk all of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

from metering.api.views import ApiView

__all__ = ["api_patterns"]


def api_patterns() -> list[URLPattern]:
    """The routes of the API: of all parts of the server, without the admin."""
    return [
        pattern for pattern in _walk(get_resolver().url_patterns)
        if issubclass(getattr(pattern.callback, "cls", object), ApiView)
    ]  # fmt: skip


def _walk(patterns: list[Any]) -> Iterator[URLPattern]:
    for entry in patterns:
        if isinstance(entry, URLResolver):
            yield from () if str(entry.pattern).startswith("admin/") else _walk(entry.url_patterns)
        else:
            yield entry
