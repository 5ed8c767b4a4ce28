"""What happened to alarms, also to those that are gone."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from alarms.models import AlarmChange
from metering.admin.base import ReadOnlyAdmin, show_id, show_json

from .links import alarm_link, with_alarm_name
from .searches import search

__all__ = ["AlarmChangeAdmin"]


class TypeFilter(admin.SimpleListFilter):
    """The types are known: finding them out would read the table."""

    title = "type"
    parameter_name = "type"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        types = ("state transition", "creation", "rule change", "deletion", "action disabled")
        return [(name, name.capitalize()) for name in types]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AlarmChange]) -> QuerySet[AlarmChange]:
        return queryset.filter(type=self.value()) if self.value() else queryset


@admin.register(AlarmChange)
class AlarmChangeAdmin(ReadOnlyAdmin):
    list_display = ("recorded_at", "type", "state", "reason", "named_alarm", "on_behalf_of", "by")
    list_filter = (TypeFilter, "severity")
    sortable_by = ()
    search_fields = ("id", "alarm_id", "on_behalf_of")
    search_help_text = "The exact id of an alarm, of a row, or of a project. The list ends after 2,000 rows."
    fields = (
        "recorded_at",
        "type",
        "named_alarm",
        "on_behalf_of",
        "user_id",
        "project_id",
        "severity",
        "shown_detail",
        "shown_id",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[AlarmChange]:
        return with_alarm_name(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AlarmChange], search_term: str
    ) -> tuple[QuerySet[AlarmChange], bool]:
        return search(queryset, search_term, ids=("alarm_id", "pk"), words=lambda term: Q(on_behalf_of=term))

    @admin.display(description="state")
    def state(self, change: AlarmChange) -> str:
        return change.detail.get("state") or "–"

    @admin.display(description="reason")
    def reason(self, change: AlarmChange) -> str:
        text = (
            change.detail.get("transition_reason")
            or change.detail.get("state_reason")
            or change.detail.get("reason")
            or "–"
        )
        return text if len(text) <= 160 else f"{text[:159]}…"

    @admin.display(description="alarm")
    def named_alarm(self, change: AlarmChange) -> SafeString:
        return alarm_link(change)

    @admin.display(description="by")
    def by(self, change: AlarmChange) -> str:
        return change.user_id or "the evaluator"

    @admin.display(description="detail")
    def shown_detail(self, change: AlarmChange) -> SafeString:
        return show_json(change.detail)

    @admin.display(description="id")
    def shown_id(self, change: AlarmChange) -> SafeString:
        return show_id(change.pk)
