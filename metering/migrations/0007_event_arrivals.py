"""Batches of events by when they were recorded: how alarms find those that have come."""

from django.db import migrations

CREATE = "CREATE INDEX batch_events_recorded ON metering_batch (recorded_at) WHERE kind = 'events'"
DROP = "DROP INDEX batch_events_recorded"


class Migration(migrations.Migration):
    dependencies = [("metering", "0006_events")]
    operations = [migrations.RunSQL(CREATE, DROP)]
