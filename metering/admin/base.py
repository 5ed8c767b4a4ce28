"""What the operators' pages share: who may use them, lists without totals, bytes and times as people read them."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

__all__ = [
    "BoundedPaginator",
    "OperatorAdmin",
    "ReadOnlyAdmin",
    "admin_link",
    "parse_uuid",
    "show_bytes",
    "show_id",
    "show_json",
]

_MOST_ROWS = 2_000
_SHOWN_BYTES = 4_096


class BoundedPaginator(Paginator):
    """Pages of at most the first 2,000 rows: finding out how many there are beyond would read them all."""

    @cached_property
    def count(self) -> int:
        return self.object_list[:_MOST_ROWS].count()


class OperatorAdmin(admin.ModelAdmin):
    """Every operator (``is_staff``) may use it."""

    show_full_result_count = False
    # Counts beside the filters would be counts of the whole table.
    show_facets = admin.ShowFacets.NEVER
    paginator = BoundedPaginator
    list_per_page = 50

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_view_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class ReadOnlyAdmin(OperatorAdmin):
    """What was measured is looked at here, never changed."""

    actions = None

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


def admin_link(target: Model | None, text: object = None) -> SafeString | str:
    """A link to the target's page; a dash for nothing."""
    if target is None:
        return "–"
    meta = target._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[target.pk])
    return format_html('<a href="{}">{}</a>', address, target if text is None else text)


def show_id(value: UUID) -> SafeString:
    """An id on one line."""
    return format_html('<code style="white-space: nowrap">{}</code>', value)


def show_json(value: Any) -> SafeString:
    return format_html("<pre>{}</pre>", json.dumps(value, indent=2, ensure_ascii=False, default=str))


def show_bytes(data: bytes) -> SafeString:
    """The first 4 KiB as offset, hexadecimal and text, sixteen bytes a line."""
    lines = []
    for offset in range(0, min(len(data), _SHOWN_BYTES), 16):
        row = data[offset : offset + 16]
        text = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
        lines.append(f"{offset:06x}  {row.hex(' '):<47}  {text}")
    if len(data) > _SHOWN_BYTES:
        lines.append(f"… {len(data) - _SHOWN_BYTES:,} more bytes")
    return format_html("<pre>{}</pre>", "\n".join(lines))


def parse_uuid(text: str) -> UUID | None:
    try:
        return UUID(text.strip())
    except ValueError:
        return None
