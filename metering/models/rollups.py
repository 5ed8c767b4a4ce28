"""Rollups: what the samples of an hour or a day come to, for each meter, resource and dimension set. See ``metering.rollups``."""

from __future__ import annotations

from django.db import models

from .meters import DimensionSet, Meter, Resource

__all__ = ["RollupDay", "RollupDayMark", "RollupHour"]


class _Rollup(models.Model):
    """Counts only when nothing marks its time as changed. ``increase`` and ``integral`` hold inner steps, both samples in this time.

    ``opens`` and ``closes`` say whether the chain's first and last sample within the span stand in this row.
    """

    time = models.DateTimeField(help_text="When the hour or day begins, UTC.")
    meter = models.ForeignKey(Meter, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    resource = models.ForeignKey(Resource, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    dimension_set = models.ForeignKey(DimensionSet, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    sample_count = models.BigIntegerField()
    opens = models.BooleanField()
    closes = models.BooleanField()
    first_at = models.DateTimeField()
    first_id = models.UUIDField()
    first_volume = models.DecimalField(max_digits=128, decimal_places=64)
    last_at = models.DateTimeField()
    last_id = models.UUIDField()
    last_volume = models.DecimalField(max_digits=128, decimal_places=64)
    volume_sum = models.DecimalField(max_digits=256, decimal_places=64)
    volume_square_sum = models.DecimalField(max_digits=512, decimal_places=128)
    volume_min = models.DecimalField(max_digits=128, decimal_places=64)
    volume_max = models.DecimalField(max_digits=128, decimal_places=64)
    increase = models.DecimalField(max_digits=256, decimal_places=64)
    integral = models.DecimalField(max_digits=256, decimal_places=70, help_text="In the meter's unit × seconds.")
    pk = models.CompositePrimaryKey("meter", "time", "resource", "dimension_set")

    class Meta:
        abstract = True


class RollupHour(_Rollup):
    """An hour's samples."""

    class Meta:
        managed = False
        db_table = "metering_rolluphour"


class RollupDay(_Rollup):
    """A day's samples, made from its hours."""

    class Meta:
        managed = False
        db_table = "metering_rollupday"


class RollupDayMark(models.Model):
    """A day (UTC) of a meter, an hour of which was computed anew. Appended by whoever did that, taken away with the day's own turn."""

    day = models.DateTimeField()
    meter = models.ForeignKey(Meter, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    # Django wants a key to name a row by; the table itself has none, so that appending never waits.
    pk = models.CompositePrimaryKey("day", "meter")

    class Meta:
        managed = False
        db_table = "metering_rollupdaymark"

    def __str__(self) -> str:
        return f"{self.day:%Y-%m-%d} of meter {self.meter_id}"
