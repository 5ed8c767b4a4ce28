"""Events and their raw payloads, partitioned by week of when they happened; types, traits and owners of events; what a batch holds.

Column order keeps an event's row free of padding.
"""

import django.db.models.deletion
from django.db import migrations, models

CREATE = """
CREATE TABLE metering_event (
    generated_at timestamptz NOT NULL,
    event_type_id integer NOT NULL,
    owner_id integer NOT NULL,
    id uuid NOT NULL,
    source varchar(255) NOT NULL,
    message_id varchar(255) NOT NULL,
    traits jsonb NOT NULL,
    PRIMARY KEY (message_id, source, generated_at)
) PARTITION BY RANGE (generated_at);
CREATE INDEX event_time ON metering_event (generated_at, id);
CREATE INDEX event_type_time ON metering_event (event_type_id, generated_at, id);
CREATE INDEX event_owner_time ON metering_event (owner_id, generated_at, id);
CREATE INDEX event_traits ON metering_event USING gin (traits jsonb_path_ops);

CREATE TABLE metering_eventraw (
    generated_at timestamptz NOT NULL,
    id uuid NOT NULL,
    raw text NOT NULL,
    PRIMARY KEY (generated_at, id)
) PARTITION BY RANGE (generated_at);

ALTER TABLE metering_batch ADD COLUMN kind varchar(16) NOT NULL DEFAULT 'samples';
"""
DROP = """
ALTER TABLE metering_batch DROP COLUMN kind;
DROP TABLE metering_event, metering_eventraw;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0005_access")]
    operations = [
        migrations.CreateModel(
            name="EventType",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255, unique=True)),
            ],
            options={"ordering": ["name"]},
        ),
        migrations.CreateModel(
            name="EventOwner",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("project_id", models.CharField(max_length=255, null=True)),
                ("user_id", models.CharField(max_length=255, null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("project_id", "user_id"), name="eventowner_project_user_unique", nulls_distinct=False
                    )
                ]
            },
        ),
        migrations.CreateModel(
            name="TraitKind",
            fields=[
                ("id", models.AutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=255)),
                ("type", models.CharField(max_length=16)),
                (
                    "event_type",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="trait_kinds",
                        to="metering.eventtype",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["name", "type"], name="traitkind_by_name")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("event_type", "name", "type"), name="traitkind_event_type_name_type_unique"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("type__in", ["string", "integer", "float", "datetime"])),
                        name="traitkind_type_known",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="Event",
            fields=[],
            options={"db_table": "metering_event", "managed": False},
        ),
        migrations.CreateModel(
            name="EventRaw",
            fields=[],
            options={"db_table": "metering_eventraw", "managed": False},
        ),
        migrations.RunSQL(CREATE, DROP),
    ]
