"""What operators set: how many alarms a project may have, and times in which its alarms tell nobody."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import admin
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from alarms.models import Alarm, AlarmQuota, Silence
from metering.admin.base import OperatorAdmin

__all__ = ["AlarmQuotaAdmin", "SilenceAdmin"]


class QuotaForm(forms.ModelForm):
    limit = forms.IntegerField(min_value=-1, max_value=2**31 - 1, help_text="-1: any number.")

    class Meta:
        model = AlarmQuota
        fields = ("project_id", "limit")


@admin.register(AlarmQuota)
class AlarmQuotaAdmin(OperatorAdmin):
    """Without a row here, the setting CELOMETER_ALARMS_PER_PROJECT counts."""

    form = QuotaForm
    list_display = ("project_id", "limit", "alarm_count")
    search_fields = ("project_id__exact",)
    ordering = ("project_id",)

    @property
    def search_help_text(self) -> str:
        return f"The exact id of a project. Those that are not listed may have: {settings.CELOMETER_ALARMS_PER_PROJECT} (-1: any number)."

    def get_readonly_fields(self, request: HttpRequest, obj: AlarmQuota | None = None) -> tuple[str, ...]:
        return ("project_id",) if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self.has_view_permission(request)

    @admin.display(description="alarms now")
    def alarm_count(self, quota: AlarmQuota) -> int:
        return Alarm.objects.filter(project_id=quota.project_id).count()


class SilenceForm(forms.ModelForm):
    class Meta:
        model = Silence
        fields = ("project_id", "alarm_id", "name", "severity", "starts_at", "ends_at", "comment")

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        starts_at, ends_at = cleaned.get("starts_at"), cleaned.get("ends_at")
        if starts_at and ends_at and ends_at <= starts_at:
            raise forms.ValidationError({"ends_at": "It ends before it starts."})
        return cleaned


class CurrentFilter(admin.SimpleListFilter):
    title = "time"
    parameter_name = "time"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [("now", "In force now"), ("later", "Later"), ("over", "Over")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Silence]) -> QuerySet[Silence]:
        now = timezone.now()
        if self.value() == "now":
            return queryset.filter(starts_at__lte=now, ends_at__gt=now)
        if self.value() == "later":
            return queryset.filter(starts_at__gt=now)
        return queryset.filter(ends_at__lte=now) if self.value() == "over" else queryset


@admin.register(Silence)
class SilenceAdmin(OperatorAdmin):
    """They end by themselves; to end one at once, give it an earlier end."""

    form = SilenceForm
    list_display = (
        "project_id",
        "name",
        "alarm_id",
        "severity",
        "starts_at",
        "ends_at",
        "in_force",
        "user_id",
        "comment",
    )
    list_filter = (CurrentFilter,)
    search_fields = ("project_id__exact",)
    search_help_text = "The exact id of a project."
    readonly_fields = ("user_id", "made_at")

    def get_fields(self, request: HttpRequest, obj: Silence | None = None) -> tuple[str, ...]:
        fields: tuple[str, ...] = SilenceForm.Meta.fields
        return (*fields, *self.readonly_fields) if obj else fields

    def save_model(self, request: HttpRequest, obj: Silence, form: forms.ModelForm, change: bool) -> None:
        if not change:
            obj.user_id = request.user.get_username()
        super().save_model(request, obj, form, change)

    @admin.display(description="in force", boolean=True)
    def in_force(self, silence: Silence) -> bool:
        return silence.starts_at <= timezone.now() < silence.ends_at
