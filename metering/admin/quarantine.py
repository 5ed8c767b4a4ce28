"""What was not accepted, why, and an operator's word that it may come in after all."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.db.models.functions import Length
from django.http import HttpRequest
from django.utils.safestring import SafeString

from metering.collector.errors import StoreAway
from metering.collector.ingestion import Result, release
from metering.messages import Bundle, MessageRefused, is_bundle, parse_batch, read_bundle
from metering.models import Quarantine

from .base import OperatorAdmin, parse_uuid, show_bytes, show_json

__all__ = ["QuarantineAdmin"]


class StateFilter(admin.SimpleListFilter):
    """What still waits for an operator, unless something else is asked for."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("released", "Released"), ("all", "All")]

    def choices(self, changelist: ChangeList) -> Iterator[dict[str, object]]:
        waiting, *others = super().choices(changelist)
        yield {**waiting, "display": "Waiting"}
        yield from others

    def queryset(self, request: HttpRequest, queryset: QuerySet[Quarantine]) -> QuerySet[Quarantine]:
        if self.value() == "all":
            return queryset
        return queryset.filter(released_at__isnull=self.value() != "released")


def _shown_bundle(bundle: Bundle) -> dict[str, object]:
    """Envelopes hold JSON in a text: opened, where that is possible."""
    shown = []
    for letter in bundle.letters:
        text = letter.body.decode("utf-8", "backslashreplace")
        with contextlib.suppress(ValueError, RecursionError, TypeError, KeyError):
            body = json.loads(letter.body)
            text = json.loads(body["oslo.message"]) if "oslo.message" in body else body
        shown.append({"exchange": letter.exchange, "routing_key": letter.routing_key, "message": text})
    return {"bus": bundle.bus, "notifications": shown}


@admin.register(Quarantine)
class QuarantineAdmin(OperatorAdmin):
    list_display = ("received_at", "released_at", "reason", "agent_name", "shown_detail", "received_count", "size")
    list_filter = (StateFilter, "reason")
    search_fields = ("agent_name__exact", "batch_id")
    search_help_text = "The exact id of a batch, or the exact name that a message gives for its agent."
    fields = ("received_at", "reason", "detail", "received_count", "agent_name", "batch_id", "digest_hex", "origin", "released_at",
              "released_by", "decoded_header", "shown_message")  # fmt: skip
    readonly_fields = fields
    actions = ("release_entries",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Quarantine | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Quarantine]:
        return super().get_queryset(request).defer("message").annotate(message_bytes=Length("message"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Quarantine], search_term: str
    ) -> tuple[QuerySet[Quarantine], bool]:
        if not search_term:
            return queryset, False
        wanted = parse_uuid(search_term)
        found = (
            queryset.filter(batch_id=wanted) if wanted else queryset.filter(agent_name=search_term.replace("\x00", ""))
        )
        return found, False

    @admin.display(description="detail")
    def shown_detail(self, entry: Quarantine) -> str:
        return entry.detail if len(entry.detail) <= 120 else f"{entry.detail[:119]}…"

    @admin.display(description="bytes")
    def size(self, entry: Quarantine) -> int:
        return entry.message_bytes  # type: ignore[attr-defined]

    @admin.display(description="SHA-256")
    def digest_hex(self, entry: Quarantine) -> str:
        return bytes(entry.digest).hex()

    @admin.display(description="what it says, as it claims")
    def decoded_header(self, entry: Quarantine) -> SafeString | str:
        """The header of a batch; a notification that the transform role refused."""
        message = bytes(entry.message)
        try:
            if is_bundle(message):
                return show_json(_shown_bundle(read_bundle(message)))
            return show_json(json.loads(parse_batch(message).header_bytes))
        except MessageRefused as refusal:
            return f"cannot be read: {refusal.detail}"

    @admin.display(description="message")
    def shown_message(self, entry: Quarantine) -> SafeString:
        return show_bytes(bytes(entry.message))

    @admin.action(
        description="Release: check again and take in "
        "(scope, the key's validity and its clock are waived; the signature and the bounds of time never)"
    )
    def release_entries(self, request: HttpRequest, entries: QuerySet[Quarantine]) -> None:
        """Each is verified again: signature and form are never waived."""
        for entry in entries.filter(released_at=None):
            try:
                outcome = release(entry, by=request.user)
            except StoreAway as error:
                self.message_user(
                    request, f"The store does not answer: {error}. Nothing more was released.", messages.ERROR
                )
                return
            except Exception as error:  # whatever the broker's library raises: the entry stays as it is
                self.message_user(
                    request, f"The broker does not take it: {error}. Nothing more was released.", messages.ERROR
                )
                return
            if outcome.result is Result.RETURNED:
                text, level = (
                    f"{entry}: given back to the transform role; it comes back here if it is refused again",
                    messages.SUCCESS,
                )
            elif outcome.result is Result.QUARANTINED:
                text, level = f"{entry}: still refused: {outcome.reason}: {outcome.detail}", messages.WARNING
            else:
                text, level = f"{entry}: batch {outcome.batch_id}: {outcome.result}", messages.SUCCESS
            self.message_user(request, text, level)
