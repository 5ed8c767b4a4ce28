"""Alarms: in which state they are, why, and whether evaluators keep up with them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from alarms.models import Alarm, AlarmChange, Delivery, DisabledAction
from alarms.rules.decision import ALARM, INSUFFICIENT, OK
from metering.admin.base import ReadOnlyAdmin, show_id, show_json

from .charts import draw
from .lag import find_lag, lag_of, overdue_alarms, show_duration
from .pictures import read_pictures
from .searches import search

__all__ = ["AlarmAdmin", "show_state"]

_COLOURS = {OK: "#2e9e4f", ALARM: "#d43f3a", INSUFFICIENT: "#8a8f98"}
_SHOWN_CHANGES = 20


def show_state(state: str) -> SafeString:
    return format_html('<b style="color: {}; white-space: nowrap">{}</b>', _COLOURS.get(state, "inherit"), state)


class StateFilter(admin.SimpleListFilter):
    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(state, state) for state in (ALARM, OK, INSUFFICIENT)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        return queryset.filter(state=self.value()) if self.value() else queryset


class OverdueFilter(admin.SimpleListFilter):
    title = "evaluation"
    parameter_name = "evaluation"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("overdue", "Overdue")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Alarm]) -> QuerySet[Alarm]:
        if self.value() != "overdue":
            return queryset
        return queryset.filter(pk__in=overdue_alarms(timezone.now()).values("pk")).order_by("schedule__due_at")


@admin.register(Alarm)
class AlarmAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        "shown_state",
        "severity",
        "lag",
        "evaluated_at",
        "project",
        "type",
        "due_at",
        "state_at",
        "enabled",
    )
    list_select_related = ("schedule",)
    list_filter = (StateFilter, OverdueFilter, "severity", "enabled", "type")
    search_fields = ("id", "name", "project_id")
    search_help_text = "The exact id of an alarm, the exact id of a project, or a part of an alarm's name."
    fieldsets = (
        (None, {"fields": ("name", "shown_state", "state_reason", "state_at", "evaluation", "pictures")}),
        ("What happened, and who was told", {"fields": ("changes", "deliveries", "disabled_actions")}),
        (
            "Definition",
            {"fields": ("shown_id", "description", "type", "shown_rule", "enabled", "severity", "project", "user_id", "shown_actions",
                        "repeat_actions", "shown_constraints", "changed_at", "version", "shown_memory")},
        ),
    )  # fmt: skip
    readonly_fields = tuple(field for _, options in fieldsets for field in options["fields"])  # type: ignore[attr-defined]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Alarm], search_term: str
    ) -> tuple[QuerySet[Alarm], bool]:
        return search(
            queryset, search_term, ids=("pk",), words=lambda term: Q(project_id=term) | Q(name__icontains=term)
        )

    def changelist_view(self, request: HttpRequest, extra_context: Mapping[str, Any] | None = None) -> HttpResponse:
        lag = find_lag(timezone.now())
        said = "Evaluators keep up: no alarm is overdue by more than a cycle."
        if lag.count:
            are = "alarm is" if lag.count == 1 else "alarms are"
            said = f"{lag.count:,} {are} overdue by more than a cycle, the oldest by {show_duration(lag.longest)}."
        return super().changelist_view(request, {**(extra_context or {}), "subtitle": said})

    @admin.display(description="state", ordering="state")
    def shown_state(self, alarm: Alarm) -> SafeString:
        return show_state(alarm.state)

    @admin.display(description="project", ordering="project_id")
    def project(self, alarm: Alarm) -> str:
        return alarm.project_id or "none: sees all"

    @admin.display(description="last evaluated", ordering="schedule__evaluated_at")
    def evaluated_at(self, alarm: Alarm) -> datetime | str:
        schedule = getattr(alarm, "schedule", None)
        return "by events" if alarm.type == "event" else (schedule and schedule.evaluated_at) or "never"

    @admin.display(description="due", ordering="schedule__due_at")
    def due_at(self, alarm: Alarm) -> datetime | str:
        schedule = getattr(alarm, "schedule", None)
        return "–" if alarm.type == "event" or schedule is None or not alarm.enabled else schedule.due_at

    @admin.display(description="overdue by", ordering="schedule__due_at")
    def lag(self, alarm: Alarm) -> str:
        lag = lag_of(alarm, timezone.now())
        return "–" if lag is None else show_duration(lag)

    @admin.display(description="evaluation")
    def evaluation(self, alarm: Alarm) -> str:
        """When it was looked at and when it will be, in words."""
        if not alarm.enabled:
            return "disabled: not evaluated"
        if alarm.type == "event":
            return "when an event comes"
        schedule, now = getattr(alarm, "schedule", None), timezone.now()
        if schedule is None:
            return "with the next cycle, for the first time"
        last = f"last at {schedule.evaluated_at:%Y-%m-%d %H:%M:%S}" if schedule.evaluated_at else "never so far"
        said = f"{last}; due at {schedule.due_at:%Y-%m-%d %H:%M:%S} UTC"
        if schedule.claimed_until and schedule.claimed_until > now:
            said += f"; an evaluator is at it until {schedule.claimed_until:%H:%M:%S}"
        lag = lag_of(alarm, now)
        return f"{said}; overdue by {show_duration(lag)}" if lag else said

    @admin.display(description="its series")
    def pictures(self, alarm: Alarm) -> SafeString:
        return format_html_join(
            "",
            "<div><p><b>{}</b></p>{}{}</div>",
            (
                (
                    picture.title,
                    format_html("<p>{}</p>", _sentence(picture.trouble)) if picture.trouble else "",
                    draw(picture.chart, title=picture.title) if picture.chart.bands or picture.chart.points else "",
                )
                for picture in read_pictures(alarm, timezone.now())
            ),
        )

    @admin.display(description="history")
    def changes(self, alarm: Alarm) -> SafeString | str:
        rows = [
            (f"{change.recorded_at:%Y-%m-%d %H:%M:%S}", change.type, change.detail.get("state") or "",
             change.detail.get("transition_reason") or change.detail.get("state_reason") or change.detail.get("reason") or "")
            for change in AlarmChange.objects.filter(alarm_id=alarm.pk)[:_SHOWN_CHANGES]
        ]  # fmt: skip
        if not rows:
            return "none"
        body = format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>", rows)
        return format_html(
            '<table>{}</table><p><a href="{}?q={}">All of it</a></p>', body, _list_of("alarmchange"), alarm.pk
        )

    @admin.display(description="deliveries")
    def deliveries(self, alarm: Alarm) -> SafeString | str:
        if not Delivery.objects.filter(alarm_id=alarm.pk).exists():
            return "none"
        return format_html('<a href="{}?q={}">Show them</a>', _list_of("delivery"), alarm.pk)

    @admin.display(description="actions that are disabled")
    def disabled_actions(self, alarm: Alarm) -> SafeString | str:
        rows = [(action.url, action.reason) for action in DisabledAction.objects.filter(alarm_id=alarm.pk)]
        return format_html_join("", "<p>{}: {}</p>", rows) or "none"

    @admin.display(description="id")
    def shown_id(self, alarm: Alarm) -> SafeString:
        return show_id(alarm.pk)

    @admin.display(description="rule")
    def shown_rule(self, alarm: Alarm) -> SafeString:
        return show_json(alarm.rule)

    @admin.display(description="actions")
    def shown_actions(self, alarm: Alarm) -> SafeString:
        return show_json(alarm.actions)

    @admin.display(description="time constraints")
    def shown_constraints(self, alarm: Alarm) -> SafeString:
        return show_json(alarm.time_constraints)

    @admin.display(description="what the evaluator remembers")
    def shown_memory(self, alarm: Alarm) -> SafeString:
        return show_json(alarm.memory)


def _list_of(model: str) -> str:
    return reverse(f"admin:alarms_{model}_changelist")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
