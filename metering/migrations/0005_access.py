"""Roles in projects; scopes, projects, expiry and last use of tokens; how often each caller has asked."""

import django.contrib.postgres.fields
import metering.models.accounts
from django.db import migrations, models

ROLES = [("reader", "reader: sees the project's data"), ("member", "member: also posts samples")]
SCOPES = [
    ("read", "read everything that the user sees"),
    ("samples", "post samples"),
    ("alarms", "make and change alarms"),
]


class Migration(migrations.Migration):
    dependencies = [("metering", "0004_retention")]
    operations = [
        migrations.AddField(
            model_name="membership",
            name="role",
            field=models.CharField(choices=ROLES, default="member", max_length=16),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="scopes",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(choices=SCOPES, max_length=16),
                default=metering.models.accounts.all_scopes,
                help_text="What it may be used for.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="projects",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=255),
                blank=True,
                default=list,
                help_text="Only these of the user's projects, with commas; empty: all that the user sees.",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="expires_at",
            field=models.DateTimeField(blank=True, help_text="In UTC; empty: when it is revoked.", null=True),
        ),
        migrations.AddField(
            model_name="apitoken",
            name="last_used_at",
            field=models.DateTimeField(editable=False, help_text="To the minute.", null=True),
        ),
        migrations.CreateModel(
            name="RequestCount",
            fields=[
                ("key", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("minute", models.BigIntegerField(db_index=True, help_text="Whole minutes since 1970.")),
                ("granted", models.BigIntegerField()),
            ],
        ),
        # Written every few hundred milliseconds by busy callers, and worth nothing after a crash.
        migrations.RunSQL(
            "ALTER TABLE metering_requestcount SET UNLOGGED",
            "ALTER TABLE metering_requestcount SET LOGGED",
        ),
    ]
