"""What is stored: meters, resources, samples."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from metering.messages import batch_of, position_of, sample_id
from metering.messages.identity import MAX_POSITION
from metering.models import Batch, Meter, Resource, Sample
from metering.queries.errors import QueryError
from metering.queries.filters import SampleFilter, Scope
from metering.queries.samples import list_samples
from metering.queries.values import parse_timestamp

from .base import ReadOnlyAdmin, admin_link, parse_uuid, show_id, show_json

__all__ = ["MeterAdmin", "ResourceAdmin", "SampleAdmin"]

_EVERYBODY = Scope(None)
_FOUND_SAMPLES = 1_000


@admin.register(Meter)
class MeterAdmin(ReadOnlyAdmin):
    list_display = ("name", "type", "unit", "service", "samples")
    list_filter = ("service", "type")
    search_fields = ("name__exact",)
    search_help_text = "A meter's exact name."

    @admin.display(description="samples")
    def samples(self, meter: Meter) -> SafeString:
        return format_html('<a href="{}?q={}">newest</a>', reverse("admin:metering_sample_changelist"), meter.name)


@admin.register(Resource)
class ResourceAdmin(ReadOnlyAdmin):
    list_display = ("resource_id", "source", "project_id", "user_id", "samples")
    search_fields = ("resource_id__exact", "project_id__exact")
    search_help_text = "The exact id of a resource or a project. The list ends after 2,000 resources."

    @admin.display(description="samples")
    def samples(self, resource: Resource) -> SafeString:
        address = reverse("admin:metering_sample_changelist")
        return format_html('<a href="{}?q={}">newest</a>', address, resource.resource_id)


class TimeFilter(admin.SimpleListFilter):
    """Windows that end now: each reads the end of the index on time only."""

    title = "time"
    parameter_name = "since"
    windows = {
        "hour": timedelta(hours=1),
        "day": timedelta(days=1),
        "week": timedelta(days=7),
        "month": timedelta(days=31),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(name, f"last {name}") for name in self.windows]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Sample]) -> QuerySet[Sample]:
        window = self.windows.get(self.value() or "")
        return queryset.filter(timestamp__gte=timezone.now() - window) if window else queryset


@admin.register(Sample)
class SampleAdmin(ReadOnlyAdmin):
    """Newest first, by the index on time. Nothing counts the table, and nothing sorts it another way."""

    list_display = ("timestamp", "meter_name", "volume_text", "unit", "resource", "project", "shown_id")
    list_select_related = ("meter", "resource")
    ordering = ("-timestamp", "id")
    sortable_by = ()
    list_filter = (TimeFilter,)
    search_fields = ("id",)
    search_help_text = (
        "The exact id of a sample, batch or resource, the exact name of a meter, or a time such as 2026-01-31T10:00: samples from then "
        "back. The list ends after 2,000 samples."
    )
    fields = (
        "id",
        "timestamp",
        "meter",
        "volume_text",
        "unit",
        "resource",
        "project",
        "user",
        "source",
        "batch",
        "position",
        "metadata",
    )
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Sample]:
        return super().get_queryset(request).select_related("meter", "resource")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Sample], search_term: str
    ) -> tuple[QuerySet[Sample], bool]:
        term = search_term.strip()
        if not term or "\x00" in term:
            return (queryset.none() if term else queryset), False
        wanted = parse_uuid(term)
        if wanted and Batch.objects.filter(pk=batch_of(wanted)).exists():
            whole_batch = not position_of(wanted)
            last = sample_id(batch_of(wanted), MAX_POSITION) if whole_batch else wanted
            return self._within_batch(queryset, wanted).filter(id__range=(wanted, last)), False
        moment = _moment(term)
        if moment:
            return queryset.filter(timestamp__lte=moment), False
        return self._by_name(queryset, term), False

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Sample | None:
        wanted = parse_uuid(object_id)
        if wanted is None:
            return None
        found = self._within_batch(self.get_queryset(request), wanted).filter(pk=wanted)
        return found.select_related("meter", "resource", "state").first()

    def _within_batch(self, queryset: QuerySet[Sample], wanted: Any) -> QuerySet[Sample]:
        """Only where the ledger says that the batch's samples lie; the id alone has no index."""
        batch = Batch.objects.filter(pk=batch_of(wanted)).only("first_sample_at", "last_sample_at").first()
        if batch is None or batch.first_sample_at is None:
            return queryset.none()
        return queryset.filter(timestamp__range=(batch.first_sample_at, batch.last_sample_at))

    def _by_name(self, queryset: QuerySet[Sample], name: str) -> QuerySet[Sample]:
        """The newest samples of a resource, or else of a meter, of that name."""
        for wanted in (SampleFilter(resource=name), SampleFilter(meter=name)):
            rows = list_samples(wanted, scope=_EVERYBODY, limit=_FOUND_SAMPLES)
            if rows:
                times = (rows[-1].timestamp, rows[0].timestamp)
                return queryset.filter(timestamp__range=times, id__in=[row.id for row in rows])
        return queryset.none()

    @admin.display(description="id")
    def shown_id(self, sample: Sample) -> SafeString:
        return show_id(sample.pk)

    @admin.display(description="volume")
    def volume_text(self, sample: Sample) -> str:
        return format(sample.volume, "f")

    @admin.display(description="meter")
    def meter_name(self, sample: Sample) -> str:
        return sample.meter.name

    @admin.display(description="unit")
    def unit(self, sample: Sample) -> str:
        return sample.meter.unit

    @admin.display(description="project")
    def project(self, sample: Sample) -> str:
        return sample.resource.project_id or "–"

    @admin.display(description="user")
    def user(self, sample: Sample) -> str:
        return sample.resource.user_id or "–"

    @admin.display(description="source")
    def source(self, sample: Sample) -> str:
        return sample.resource.source

    @admin.display(description="batch")
    def batch(self, sample: Sample) -> SafeString | str:
        return admin_link(Batch(pk=batch_of(sample.pk)))

    @admin.display(description="position in it")
    def position(self, sample: Sample) -> int:
        return position_of(sample.pk)

    @admin.display(description="metadata")
    def metadata(self, sample: Sample) -> SafeString:
        return show_json(sample.state.metadata)


def _moment(text: str) -> datetime | None:
    try:
        return parse_timestamp(text)
    except QueryError:
        return None
