"""Small tables that samples refer to: meters, resources, the states a resource was in, and which pairs exist.

New rows are inserted by ``metering.collector.dimensions`` alone, sorted by key and in transactions of their own.
"""

from __future__ import annotations

from django.db import models

from .retention import RetentionClass

__all__ = ["Chain", "DimensionSet", "Meter", "Resource", "ResourceState", "Series"]


class Meter(models.Model):
    """What is measured. One name may stand with several units or types: each is a meter of its own."""

    name = models.CharField(max_length=255)
    type = models.CharField(max_length=16)
    unit = models.CharField(max_length=255, blank=True)
    service = models.CharField(
        max_length=64, help_text="The service that the meter belongs to, such as compute or volume."
    )
    retention_class = models.ForeignKey(
        RetentionClass,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        db_column="retention_class",
        db_default=0,
        editable=False,
        help_text="How long its samples are kept; chosen when the first of them came.",
    )

    class Meta:
        ordering = ["name", "unit", "type"]
        constraints = [
            models.UniqueConstraint(fields=["name", "type", "unit"], name="meter_name_type_unit_unique"),
            models.CheckConstraint(
                condition=models.Q(type__in=["gauge", "delta", "cumulative"]), name="meter_type_known"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.type}, {self.unit or 'no unit'})"


class Chain(models.Model):
    """One measured thing, whoever owned it: the steps from sample to sample of a meter go along it."""

    source = models.CharField(max_length=255)
    resource_id = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["resource_id", "source"], name="chain_resource_source_unique")]

    def __str__(self) -> str:
        return self.resource_id


class Resource(models.Model):
    """What it is measured on, and whose it was: a resource that changes owner has a row for each."""

    chain = models.ForeignKey(Chain, on_delete=models.PROTECT, related_name="owners")
    source = models.CharField(max_length=255)
    resource_id = models.CharField(max_length=255)
    project_id = models.CharField(max_length=255, null=True, blank=True)
    user_id = models.CharField(max_length=255, null=True, blank=True)

    class Meta:
        ordering = ["resource_id", "id"]
        constraints = [
            models.UniqueConstraint(
                fields=["resource_id", "source", "project_id", "user_id"],
                nulls_distinct=False,
                name="resource_id_source_owner_unique",
            )
        ]
        indexes = [models.Index(fields=["project_id", "resource_id"], name="resource_by_project")]

    def __str__(self) -> str:
        return self.resource_id


class DimensionSet(models.Model):
    """The part of a metadata object that rollups are kept by: what ``metering.rollups.dimension_sets`` takes from it."""

    digest = models.BinaryField(max_length=32, unique=True, help_text="SHA-256 of the values with sorted keys.")
    values = models.JSONField()

    def __str__(self) -> str:
        return bytes(self.digest).hex()[:12]


class ResourceState(models.Model):
    """One distinct metadata object, kept once however many samples carry it."""

    digest = models.BinaryField(max_length=32, unique=True, help_text="SHA-256 of the metadata with sorted keys.")
    metadata = models.JSONField()
    dimension_set = models.ForeignKey(DimensionSet, on_delete=models.PROTECT, related_name="states")

    def __str__(self) -> str:
        return bytes(self.digest).hex()[:12]


class Series(models.Model):
    """A meter that has samples of a resource: the row exists before the first of them does."""

    meter = models.ForeignKey(Meter, on_delete=models.PROTECT, related_name="series")
    resource = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="series")

    class Meta:
        verbose_name_plural = "series"
        constraints = [models.UniqueConstraint(fields=["meter", "resource"], name="series_meter_resource_unique")]

    def __str__(self) -> str:
        return f"{self.meter_id}/{self.resource_id}"
