"""``manage.py audit`` finds what was changed by hand, and names it; ``manage.py rebuild`` puts it right from the ledger."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from metering.collector.ingestion import ingest
from metering.housekeeping.rolling import keep_rollups
from metering.messages import Origin
from metering.models import RollupHour, Sample
from metering.retention.floors import BODIES, raise_floor, samples_of
from tests.support.agents import EnrolledAgent, now_microseconds, some_samples

HOUR = 3_600_000_000


@pytest.fixture
def audited_store(store):
    agent = EnrolledAgent()
    for hours in (30, 29, 3):
        ingest(agent.message(some_samples(4, at=now_microseconds() - hours * HOUR)))
    ingest(agent.message(some_samples(2), origins=[Origin("a", 1), Origin("b", 1)]))
    ingest(agent.message(some_samples(2), origins=[Origin("b", 1), Origin("c", 1)]))
    keep_rollups(timezone.now())
    assert RollupHour.objects.exists()


def audit() -> str:
    out = StringIO()
    try:
        call_command("audit", stdout=out, stderr=StringIO())
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


def test_a_store_that_nobody_touched_is_what_was_signed(audited_store):
    assert "the store is what was signed\n" in audit()


CHANGES = {
    "a volume": ("UPDATE metering_sample SET volume = volume + 1 WHERE id = %s", "volume is 2, signed was 1"),
    "a time": (
        "UPDATE metering_sample SET timestamp = timestamp - interval '1 second' WHERE id = %s",
        "timestamp is 20",
    ),
    "a deleted sample": ("DELETE FROM metering_sample WHERE id = %s", "3 of its samples are stored, expected 4"),
    "an owner": (
        "UPDATE metering_resource SET project_id = 'other' FROM metering_sample s"
        " WHERE s.resource_id = metering_resource.id AND s.id = %s",
        "project is other, signed was p1",
    ),
    "a ledger entry": (
        "UPDATE metering_batch SET signature = sha512('x') WHERE id = (left(%s::text, 31) || '00000')::uuid",
        "the ledger does not hold what was signed: bad_signature",
    ),
    "an added sample": (
        "INSERT INTO metering_sample SELECT timestamp, meter_id, resource_id, state_id, 0, gen_random_uuid(), 5"
        " FROM metering_sample WHERE id = %s",
        "no batch has it",
    ),
    "an hour": (
        "UPDATE metering_rolluphour SET volume_sum = volume_sum + 1 WHERE first_id = %s",
        "resource vm-0 is wrong",
    ),
    "a day": ("UPDATE metering_rollupday SET increase = increase + 1 WHERE first_id = %s", "resource vm-0 is wrong"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_by_hand_is_named(audited_store, change):
    statement, told = CHANGES[change]
    first = Sample.objects.order_by("timestamp").filter(resource__resource_id="vm-0").first()
    with connection.cursor() as cursor:
        cursor.execute(statement, [first.pk])
    found = audit()
    assert told in found
    assert "the store is not what was signed" in found


@pytest.mark.parametrize("change", ["a volume", "a time", "a deleted sample", "an added sample", "an hour"])
def test_rebuilding_puts_right_what_was_changed_by_hand(audited_store, change):
    before = list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume"))
    first = Sample.objects.order_by("timestamp").filter(resource__resource_id="vm-0").first()
    with connection.cursor() as cursor:
        cursor.execute(CHANGES[change][0], [first.pk])
    call_command("rebuild", stdout=StringIO(), stderr=StringIO())
    assert list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume")) == before
    assert "the store is what was signed\n" in audit()


def test_samples_that_were_all_lost_come_back(audited_store):
    before = list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume"))
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE metering_sample, metering_rolluphour, metering_rollupday")
    out = StringIO()
    call_command("rebuild", stdout=out, stderr=StringIO())
    assert "5 batches, 15 samples written again" in out.getvalue()
    assert list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume")) == before
    assert "the store is what was signed\n" in audit()


def test_what_retention_has_dropped_is_not_called_wrong(audited_store):
    floor_at = timezone.now() - timedelta(hours=10)
    raise_floor(samples_of("standard"), floor_at)
    raise_floor(BODIES, floor_at)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM metering_sample WHERE timestamp < %s", [floor_at])
        cursor.execute("DELETE FROM metering_batchbody")
        cursor.execute("UPDATE metering_batch SET due_at = due_at - interval '11 hours'")
    assert "the store is what was signed\n" in audit()
