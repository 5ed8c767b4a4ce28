"""The tables that grow: partitioned, so that old data goes by dropping a table and new data never waits for it.

Samples by retention class, then by week of their timestamp; the ledger by week of its time-ordered id. Partitions themselves are
made by housekeeping (metering.housekeeping.partitions). Column order keeps a sample's row free of padding.
"""

from django.db import migrations

CREATE = """
CREATE TABLE metering_sample (
    timestamp timestamptz NOT NULL,
    meter_id integer NOT NULL,
    resource_id integer NOT NULL,
    state_id integer NOT NULL,
    retention_class smallint NOT NULL DEFAULT 0,
    id uuid NOT NULL,
    volume numeric NOT NULL
) PARTITION BY LIST (retention_class);
CREATE INDEX sample_series_time ON metering_sample (meter_id, resource_id, timestamp);
CREATE INDEX sample_time ON metering_sample (timestamp);
CREATE TABLE metering_sample_standard PARTITION OF metering_sample FOR VALUES IN (0) PARTITION BY RANGE (timestamp);

CREATE TABLE metering_rollupmark (
    hour timestamptz NOT NULL,
    meter_id integer NOT NULL,
    batch_id uuid NOT NULL
);
CREATE INDEX rollupmark_meter_hour ON metering_rollupmark (meter_id, hour);

CREATE TABLE metering_batch (
    id uuid PRIMARY KEY,
    key_id integer NOT NULL,
    source varchar(255) NOT NULL,
    stream uuid NOT NULL,
    sequence bigint NOT NULL,
    previous_digest bytea NOT NULL,
    header_digest bytea NOT NULL,
    header bytea NOT NULL,
    signature bytea NOT NULL,
    due_at timestamptz NOT NULL,
    made_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    sample_count integer NOT NULL,
    stored_count integer NOT NULL,
    first_sample_at timestamptz,
    last_sample_at timestamptz
) PARTITION BY RANGE (id);
CREATE INDEX batch_key_stream_sequence ON metering_batch (key_id, stream, sequence);

CREATE TABLE metering_batchbody (
    id uuid PRIMARY KEY,
    body bytea NOT NULL
) PARTITION BY RANGE (id);
-- The body is compressed already.
ALTER TABLE metering_batchbody ALTER COLUMN body SET STORAGE EXTERNAL;
"""

DROP = "DROP TABLE metering_sample, metering_rollupmark, metering_batch, metering_batchbody;"


class Migration(migrations.Migration):
    dependencies = [("metering", "0001_initial")]
    operations = [migrations.RunSQL(CREATE, DROP)]
