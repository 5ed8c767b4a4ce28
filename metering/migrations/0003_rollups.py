"""Rollups and what they are kept by: chains, dimension sets, hours, days, the marks on days."""

import json
from hashlib import sha256

import django.db.models.deletion
from django.db import migrations, models

from metering.rollups.dimension_sets import take_dimensions

_ROLLUP = """
CREATE TABLE {table} (
    time timestamptz NOT NULL,
    first_at timestamptz NOT NULL,
    last_at timestamptz NOT NULL,
    sample_count bigint NOT NULL,
    meter_id integer NOT NULL,
    resource_id integer NOT NULL,
    dimension_set_id integer NOT NULL,
    opens boolean NOT NULL,
    closes boolean NOT NULL,
    first_id uuid NOT NULL,
    last_id uuid NOT NULL,
    first_volume numeric NOT NULL,
    last_volume numeric NOT NULL,
    volume_sum numeric NOT NULL,
    volume_square_sum numeric NOT NULL,
    volume_min numeric NOT NULL,
    volume_max numeric NOT NULL,
    increase numeric NOT NULL,
    integral numeric NOT NULL,
    PRIMARY KEY (meter_id, time, resource_id, dimension_set_id)
) PARTITION BY RANGE (time);
CREATE INDEX {name}_series_time ON {table} (meter_id, resource_id, time);
"""

CREATE = (
    _ROLLUP.format(table="metering_rolluphour", name="rolluphour")
    + _ROLLUP.format(table="metering_rollupday", name="rollupday")
    + """
CREATE TABLE metering_rollupdaymark (day timestamptz NOT NULL, meter_id integer NOT NULL);
CREATE INDEX rollupdaymark_meter_day ON metering_rollupdaymark (meter_id, day);
"""
)
DROP = "DROP TABLE metering_rolluphour, metering_rollupday, metering_rollupdaymark;"

FILL_CHAINS = """
INSERT INTO metering_chain (source, resource_id) SELECT DISTINCT source, resource_id FROM metering_resource ORDER BY 2, 1;
UPDATE metering_resource r SET chain_id = c.id FROM metering_chain c
 WHERE c.resource_id = r.resource_id AND c.source = r.source;
SET CONSTRAINTS ALL IMMEDIATE;
"""


def fill_dimension_sets(apps, schema_editor):
    state_model = apps.get_model("metering", "ResourceState")
    set_model = apps.get_model("metering", "DimensionSet")
    known = {}
    for state in state_model.objects.iterator():
        values = take_dimensions(state.metadata)
        digest = sha256(json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).digest()
        if digest not in known:
            known[digest] = set_model.objects.create(digest=digest, values=values)
        state_model.objects.filter(pk=state.pk).update(dimension_set=known[digest])
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")


class Migration(migrations.Migration):
    dependencies = [("metering", "0002_partitioned_tables")]
    operations = [
        migrations.CreateModel(
            name="Chain",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("source", models.CharField(max_length=255)),
                ("resource_id", models.CharField(max_length=255)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("resource_id", "source"), name="chain_resource_source_unique")
                ]
            },
        ),
        migrations.CreateModel(
            name="DimensionSet",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "digest",
                    models.BinaryField(
                        help_text="SHA-256 of the values with sorted keys.", max_length=32, unique=True
                    ),
                ),
                ("values", models.JSONField()),
            ],
        ),
        migrations.AddField(
            model_name="resource",
            name="chain",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="owners",
                to="metering.chain",
            ),
        ),
        migrations.AddField(
            model_name="resourcestate",
            name="dimension_set",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="states",
                to="metering.dimensionset",
            ),
        ),
        migrations.RunSQL(FILL_CHAINS, migrations.RunSQL.noop),
        migrations.RunPython(fill_dimension_sets, migrations.RunPython.noop),
        migrations.AlterField(
            model_name="resource",
            name="chain",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="owners", to="metering.chain"
            ),
        ),
        migrations.AlterField(
            model_name="resourcestate",
            name="dimension_set",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="states", to="metering.dimensionset"
            ),
        ),
        migrations.CreateModel(
            name="RollupDay",
            fields=[],
            options={"db_table": "metering_rollupday", "managed": False},
        ),
        migrations.CreateModel(
            name="RollupHour",
            fields=[],
            options={"db_table": "metering_rolluphour", "managed": False},
        ),
        migrations.CreateModel(
            name="RollupDayMark",
            fields=[],
            options={"db_table": "metering_rollupdaymark", "managed": False},
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
