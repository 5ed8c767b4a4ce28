"""Samples and the marks that say which hours of them have changed. Partitioned tables: see the first migration."""

from __future__ import annotations

from django.db import models

from .meters import Meter, Resource, ResourceState

__all__ = ["RollupMark", "Sample"]


class Sample(models.Model):
    """One measurement, as it was signed. Rows are written by COPY and never changed.

    ``id`` is the public UUID: the batch's id with the sample's position in its low 20 bits, so it orders samples of one time
    as (batch, position). It is unique because a batch stands in the ledger once. No foreign keys: a partition must be attached and
    detached without locking the tables referred to.
    """

    id = models.UUIDField(primary_key=True)
    timestamp = models.DateTimeField()
    meter = models.ForeignKey(Meter, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    resource = models.ForeignKey(Resource, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    state = models.ForeignKey(ResourceState, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    volume = models.DecimalField(max_digits=128, decimal_places=64)
    # The meter's, repeated here: the first level of partitions.
    retention_class = models.SmallIntegerField(default=0)

    class Meta:
        managed = False
        db_table = "metering_sample"

    def __str__(self) -> str:
        return str(self.id)


class RollupMark(models.Model):
    """An hour of a meter that a batch has put samples into. Appended by collectors, taken away by whoever recomputes the hour."""

    hour = models.DateTimeField()
    meter = models.ForeignKey(Meter, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False)
    batch_id = models.UUIDField()
    # Django wants a key to name a row by; the table itself has none, so that appending never waits.
    pk = models.CompositePrimaryKey("hour", "meter", "batch_id")

    class Meta:
        managed = False
        db_table = "metering_rollupmark"

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H}h of meter {self.meter_id}"
