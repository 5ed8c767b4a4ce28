"""Which classes of samples there are, and below which times nothing is left."""

from __future__ import annotations

from django.db import models

__all__ = ["RetentionClass", "RetentionFloor"]


class RetentionClass(models.Model):
    """How long samples of a meter are kept is said for each class in retention.yaml; its samples lie in ``metering_sample_NAME``.

    Not managed: a class and its tables come together, and neither ever goes.
    """

    id = models.SmallAutoField(primary_key=True)
    name = models.CharField(max_length=24, unique=True)

    class Meta:
        managed = False
        db_table = "metering_retentionclass"
        verbose_name_plural = "retention classes"

    def __str__(self) -> str:
        return self.name


class RetentionFloor(models.Model):
    """Things of this subject that are older have been dropped, and are refused."""

    subject = models.CharField(max_length=64, primary_key=True)
    floor_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.subject} from {self.floor_at:%Y-%m-%d}"
