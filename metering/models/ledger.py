"""The ledger: batches as received, and what could not be entered (quarantine) or not yet (parked)."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from .agents import AgentKey

__all__ = ["Batch", "BatchBody", "Origin", "ParkedBatch", "Quarantine"]


class Batch(models.Model):
    """A batch's signed header and what became of it. Partitioned by its time-ordered id, which makes duplicates impossible."""

    id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=16, default="samples", help_text="What it holds: samples or events.")
    key = models.ForeignKey(AgentKey, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    source = models.CharField(max_length=255)
    stream = models.UUIDField()
    sequence = models.BigIntegerField()
    previous_digest = models.BinaryField(max_length=32)
    header_digest = models.BinaryField(max_length=32)
    header = models.BinaryField()
    signature = models.BinaryField(max_length=64)
    due_at = models.DateTimeField()
    made_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    sample_count = models.IntegerField(help_text="Samples, or events, that the batch holds.")
    stored_count = models.IntegerField(help_text="Of these stored: fewer where an input had come before.")
    first_sample_at = models.DateTimeField(null=True)
    last_sample_at = models.DateTimeField(null=True)

    class Meta:
        managed = False
        db_table = "metering_batch"
        verbose_name_plural = "batches"

    def __str__(self) -> str:
        return str(self.id)


class BatchBody(models.Model):
    """The compressed body as received: samples can be rebuilt from it and proved by it."""

    id = models.UUIDField(primary_key=True)
    body = models.BinaryField()

    class Meta:
        managed = False
        db_table = "metering_batchbody"
        verbose_name_plural = "batch bodies"


class Origin(models.Model):
    """An input that samples were made from (a notification, a posted request): metered once, however often it comes."""

    source = models.CharField(max_length=255)
    key = models.CharField(max_length=255)
    batch_id = models.UUIDField()
    recorded_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "source"], name="origin_key_source_unique")]

    def __str__(self) -> str:
        return self.key


class ParkedBatch(models.Model):
    """A verified message that waits for its partitions; housekeeping makes them and takes it in."""

    id = models.UUIDField(primary_key=True)
    message = models.BinaryField()
    waived = models.BooleanField(default=False, help_text="Released from quarantine by an operator: policy was waived.")
    parked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["parked_at"]
        verbose_name_plural = "parked batches"

    def __str__(self) -> str:
        return str(self.id)


class Quarantine(models.Model):
    """A message that was not accepted: its bytes, why, and whether an operator let it in later."""

    digest = models.BinaryField(max_length=32, editable=False, help_text="SHA-256 of the message.")
    reason = models.CharField(max_length=64, db_index=True)
    detail = models.TextField()
    message = models.BinaryField()
    origin = models.JSONField(default=dict, help_text="How it came: queue, content type, headers.")
    agent_name = models.CharField(
        max_length=255, blank=True, help_text="As the message says; true only if its signature is."
    )
    batch_id = models.UUIDField(null=True)
    received_count = models.IntegerField(default=1)
    received_at = models.DateTimeField(default=timezone.now)
    released_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ["-received_at"]
        verbose_name_plural = "quarantine"
        constraints = [models.UniqueConstraint(fields=["digest", "reason"], name="quarantine_digest_reason_unique")]

    def __str__(self) -> str:
        return f"{self.reason} at {self.received_at:%Y-%m-%d %H:%M:%S}"
