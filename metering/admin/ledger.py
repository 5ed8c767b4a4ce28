"""The ledger: batches as they were received, and those that wait."""

from __future__ import annotations

import json

from django.contrib import admin
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metering.messages import BadSignature, PublicKey, batch_of
from metering.models import Batch, BatchBody, ParkedBatch

from .base import ReadOnlyAdmin, admin_link, parse_uuid, show_bytes, show_id, show_json

__all__ = ["BatchAdmin", "ParkedBatchAdmin"]


@admin.register(Batch)
class BatchAdmin(ReadOnlyAdmin):
    """Newest first, by the time-ordered id, which is the table's key."""

    list_display = ("due_at", "agent", "source", "sequence", "sample_count", "stored_count", "recorded_at", "shown_id")
    list_select_related = ("key__agent",)
    ordering = ("-id",)
    sortable_by = ()
    list_filter = ("key__agent",)
    search_fields = ("id",)
    search_help_text = "The exact id of a batch, or of a sample in it. The list ends after 2,000 batches."
    fields = ("id", "kind", "agent", "signing_key", "verified", "source", "stream", "sequence", "due_at", "made_at", "recorded_at",
              "sample_count", "stored_count", "first_sample_at", "last_sample_at", "samples", "decoded_header", "signature_hex",
              "previous_hex", "body_size")  # fmt: skip
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Batch]:
        return super().get_queryset(request).select_related("key__agent")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Batch], search_term: str
    ) -> tuple[QuerySet[Batch], bool]:
        if not search_term:
            return queryset, False
        wanted = parse_uuid(search_term)
        return (queryset.filter(pk=batch_of(wanted)) if wanted else queryset.none()), False

    @admin.display(description="id")
    def shown_id(self, batch: Batch) -> SafeString:
        return show_id(batch.pk)

    @admin.display(description="agent")
    def agent(self, batch: Batch) -> SafeString | str:
        return admin_link(batch.key.agent)

    @admin.display(description="key")
    def signing_key(self, batch: Batch) -> SafeString | str:
        return admin_link(batch.key, batch.key.key_id)

    @admin.display(description="signature verifies", boolean=True)
    def verified(self, batch: Batch) -> bool:
        try:
            PublicKey(bytes(batch.key.public_key)).verify(bytes(batch.signature), bytes(batch.header))
        except BadSignature:
            return False
        return True

    @admin.display(description="samples")
    def samples(self, batch: Batch) -> SafeString:
        return format_html('<a href="{}?q={}">Show them</a>', reverse("admin:metering_sample_changelist"), batch.pk)

    @admin.display(description="header")
    def decoded_header(self, batch: Batch) -> SafeString:
        return show_json(json.loads(bytes(batch.header)))

    @admin.display(description="signature")
    def signature_hex(self, batch: Batch) -> str:
        return bytes(batch.signature).hex()

    @admin.display(description="previous header's digest")
    def previous_hex(self, batch: Batch) -> str:
        return bytes(batch.previous_digest).hex() or "none: the first of its stream"

    @admin.display(description="body, compressed")
    def body_size(self, batch: Batch) -> str:
        size = BatchBody.objects.filter(pk=batch.pk).values_list(Length("body"), flat=True).first()
        return "not kept any more" if size is None else f"{size:,} bytes"


@admin.register(ParkedBatch)
class ParkedBatchAdmin(ReadOnlyAdmin):
    """Verified batches whose partitions housekeeping is about to make."""

    list_display = ("parked_at", "waived", "size", "shown_id")
    search_fields = ("id",)
    search_help_text = "The exact id of a batch."
    fields = ("id", "parked_at", "waived", "size", "shown_message")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[ParkedBatch]:
        return super().get_queryset(request).defer("message").annotate(message_bytes=Length("message"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[ParkedBatch], search_term: str
    ) -> tuple[QuerySet[ParkedBatch], bool]:
        if not search_term:
            return queryset, False
        wanted = parse_uuid(search_term)
        return (queryset.filter(pk=wanted) if wanted else queryset.none()), False

    @admin.display(description="id")
    def shown_id(self, parked: ParkedBatch) -> SafeString:
        return show_id(parked.pk)

    @admin.display(description="bytes")
    def size(self, parked: ParkedBatch) -> int:
        return parked.message_bytes  # type: ignore[attr-defined]

    @admin.display(description="message")
    def shown_message(self, parked: ParkedBatch) -> SafeString:
        return show_bytes(bytes(parked.message))
