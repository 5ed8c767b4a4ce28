"""What was told to whom, every attempt at it, and an operator's word that it is to be told once more."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from alarms.deliveries import enable_action, send_again
from alarms.models import Attempt, Delivery, DisabledAction
from metering.admin.base import OperatorAdmin, parse_uuid

from .links import alarm_link, with_alarm_name
from .searches import search

__all__ = ["DeliveryAdmin", "DisabledActionAdmin"]

_SHOWN_CHARACTERS = 80


class _LookedAt(OperatorAdmin):
    """Nothing is edited: there are actions instead."""

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return with_alarm_name(super().get_queryset(request))

    @admin.display(description="alarm")
    def alarm(self, row: Delivery | DisabledAction) -> SafeString:
        return alarm_link(row)


class AttemptInline(admin.TabularInline):
    model = Attempt
    fields = ("number", "begun_at", "ended_at", "status", "duration_ms", "outcome")
    readonly_fields = fields
    extra = 0
    can_delete = False
    ordering = ("number",)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return bool(request.user.is_active and request.user.is_staff)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    has_change_permission = has_delete_permission = has_add_permission


@admin.register(Delivery)
class DeliveryAdmin(_LookedAt):
    list_display = (
        "made_at",
        "state_word",
        "alarm",
        "receiver",
        "attempt_count",
        "last_outcome",
        "due_at",
        "ended_at",
        "project_id",
    )
    list_filter = ("state",)
    sortable_by = ()
    search_fields = ("id", "alarm_id", "project_id", "receiver")
    search_help_text = (
        "The exact id of a delivery, an alarm or a project, or a receiver such as https://host. At most 2,000 rows."
    )
    fields = ("id", "number", "alarm", "project_id", "change", "url", "state", "attempt_count", "failure_count", "lost_count", "made_at",
              "due_at", "leased_until", "give_up_at", "ended_at", "shown_body")  # fmt: skip
    readonly_fields = fields
    inlines = (AttemptInline,)
    actions = ("send_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Delivery]:
        last = Attempt.objects.filter(delivery=OuterRef("pk")).order_by("-number")
        return super().get_queryset(request).annotate(outcome=Subquery(last.values("outcome")[:1]))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Delivery], search_term: str
    ) -> tuple[QuerySet[Delivery], bool]:
        return search(
            queryset, search_term, ids=("alarm_id", "pk"), words=lambda term: Q(project_id=term) | Q(receiver=term)
        )

    @admin.display(description="state")
    def state_word(self, delivery: Delivery) -> str:
        return str(delivery.state)

    @admin.display(description="last attempt")
    def last_outcome(self, delivery: Delivery) -> str:
        text = delivery.outcome  # type: ignore[attr-defined]
        if not text:
            return "not reported" if delivery.attempt_count else "–"
        return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"

    @admin.display(description="what is sent")
    def shown_body(self, delivery: Delivery) -> SafeString:
        return format_html('<pre style="white-space: pre-wrap">{}</pre>', delivery.body)

    @admin.action(description="Send again: with the same id and body; an action that was disabled is enabled")
    def send_again(self, request: HttpRequest, deliveries: QuerySet[Delivery]) -> None:
        now = timezone.now()
        # The oldest first: what is told of an alarm is told in order.
        ids = list(deliveries.order_by("number").values_list("pk", flat=True))
        sent = sum(send_again(delivery_id, now) for delivery_id in ids)
        if sent:
            self.message_user(request, f"{sent} of {len(ids)} are told once more.", messages.SUCCESS)
        if sent < len(ids):
            self.message_user(
                request, f"{len(ids) - sent} have not ended yet: they wait for their attempts.", messages.WARNING
            )


@admin.register(DisabledAction)
class DisabledActionAdmin(_LookedAt):
    """URLs that said they are gone (410)."""

    list_display = ("disabled_at", "url", "reason", "alarm")
    ordering = ("-disabled_at",)
    search_fields = ("alarm_id",)
    search_help_text = "The exact id of an alarm."
    fields = ("alarm", "url", "reason", "disabled_at")
    readonly_fields = fields
    actions = ("enable",)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[DisabledAction], search_term: str
    ) -> tuple[QuerySet[DisabledAction], bool]:
        if not search_term:
            return queryset, False
        wanted = parse_uuid(search_term)
        return (queryset.filter(alarm_id=wanted) if wanted else queryset.none()), False

    @admin.action(description="Enable: the alarms tell these URLs again")
    def enable(self, request: HttpRequest, actions: QuerySet[DisabledAction]) -> None:
        count = sum(enable_action(action.alarm_id, action.url) for action in actions)
        self.message_user(
            request,
            f"{count} actions enabled. What was not told meanwhile is sent again from Deliveries.",
            messages.SUCCESS,
        )
