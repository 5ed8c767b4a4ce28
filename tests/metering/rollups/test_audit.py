"""``manage.py audit`` finds what was changed by hand, and names it; ``manage.py rebuild`` puts it right from the ledger."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from itertools import cycle

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from metering.collector.ingestion import ingest
from metering.housekeeping.partitions import WEEK, ensure_weeks, week_of
from metering.housekeeping.rolling import keep_rollups
from metering.messages import Origin as Input
from metering.messages import to_microseconds
from metering.models import Origin, RollupHour, Sample
from metering.retention.floors import BODIES, raise_floor, samples_of
from tests.support.agents import EnrolledAgent, now_microseconds, some_samples
from tests.support.samples import at

HOUR = 3_600_000_000


@pytest.fixture
def audited_store(store):
    agent = EnrolledAgent()
    for hours in (30, 29, 3):
        ingest(agent.message(some_samples(4, at=now_microseconds() - hours * HOUR)))
    ingest(agent.message(some_samples(2), origins=[Input("a", 1), Input("b", 1)]))
    ingest(agent.message(some_samples(2), origins=[Input("b", 1), Input("c", 1)]))
    keep_rollups(timezone.now())
    assert RollupHour.objects.exists()


def audit(*arguments: str) -> str:
    out = StringIO()
    try:
        call_command("audit", *arguments, stdout=out, stderr=StringIO())
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


def test_a_store_that_nobody_touched_is_what_was_signed(audited_store):
    assert "the store is what was signed\n" in audit()


def test_a_share_of_the_store_is_drawn_by_lot(audited_store, monkeypatch):
    lots = cycle([0.05, 0.5, 0.09, 0.2])
    monkeypatch.setattr("metering.housekeeping.audit.random", lambda: next(lots))
    assert "3 batches checked, 0 differences" in audit("--share", "10", "--days", "5")


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [("--share", "0", "number above 0, up to 100"), ("--days", "0", "at least 1"), ("--days", "soon", "at least 1")],
)
def test_a_share_or_a_time_that_cannot_be_is_refused(option, value, expected):
    with pytest.raises(CommandError, match=expected):
        call_command("audit", option, value)


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
    "a body": (
        "UPDATE metering_batchbody SET body = body || 'x' WHERE id = (left(%s::text, 31) || '00000')::uuid",
        "the ledger does not hold what was signed: tampered_body",
    ),
    "a header": (
        "UPDATE metering_batch SET header = replace(encode(header, 'escape'), 'compute', 'central')::bytea"
        " WHERE id = (left(%s::text, 31) || '00000')::uuid",
        "the ledger does not hold what was signed: bad_signature",
    ),
    "a column of the ledger": (
        "UPDATE metering_batch SET sequence = 77 WHERE id = (left(%s::text, 31) || '00000')::uuid",
        "sequence is 77, signed was 1",
    ),
    "a deleted header": (
        "DELETE FROM metering_batch WHERE id = (left(%s::text, 31) || '00000')::uuid",
        "its body is in the ledger, its header is not",
    ),
    "a deleted body": (
        "DELETE FROM metering_batchbody WHERE id = (left(%s::text, 31) || '00000')::uuid",
        "its body is not in the ledger",
    ),
    "an added sample": (
        "INSERT INTO metering_sample SELECT timestamp, meter_id, resource_id, state_id, 0, gen_random_uuid(), 5"
        " FROM metering_sample WHERE id = %s",
        "no batch has it",
    ),
    "a sample that stands twice": (
        "INSERT INTO metering_sample SELECT * FROM metering_sample WHERE id = %s",
        "stands 2 times",
    ),
    "a sample under a batch's name at another time": (
        "INSERT INTO metering_sample SELECT timestamp - interval '1 hour', meter_id, resource_id, state_id, 0,"
        " (left(id::text, 31) || '0ffff')::uuid, 5 FROM metering_sample WHERE id = %s",
        "no batch has it",
    ),
    "a sample moved out of its batch": (
        "UPDATE metering_sample SET timestamp = timestamp + interval '1 hour' WHERE id = %s",
        "3 of its samples are stored, expected 4; the first that is missing: cpu of vm-0 at 20",
    ),
    "metadata": (
        "UPDATE metering_resourcestate SET metadata = '{}' FROM metering_sample s"
        " WHERE s.state_id = metering_resourcestate.id AND s.id = %s",
        "metadata is",
    ),
    "a deleted sample and the count beside it": (
        "WITH gone AS (DELETE FROM metering_sample WHERE id = %s RETURNING left(id::text, 31) || '00000' AS batch)"
        " UPDATE metering_batch SET stored_count = 3 FROM gone WHERE id = batch::uuid",
        "stored_count is 3, signed was 4",
    ),
    "an hour": (
        "UPDATE metering_rolluphour SET volume_sum = volume_sum + 1 WHERE first_id = %s",
        "resource vm-0 is wrong",
    ),
    "a missing hour": ("DELETE FROM metering_rolluphour WHERE first_id = %s", "resource vm-0 is wrong"),
    "an added hour": (
        "INSERT INTO metering_rolluphour SELECT (jsonb_populate_record(h, jsonb_build_object("
        "'time', h.time - interval '1 hour'))).* FROM metering_rolluphour h WHERE first_id = %s",
        "resource vm-0 is wrong",
    ),
    "a day": ("UPDATE metering_rollupday SET increase = increase + 1 WHERE first_id = %s", "resource vm-0 is wrong"),
    "a missing day": ("DELETE FROM metering_rollupday WHERE first_id = %s", "resource vm-0 is wrong"),
    "an added day": (
        "INSERT INTO metering_rollupday SELECT (jsonb_populate_record(d, jsonb_build_object("
        "'time', d.time - interval '2 days'))).* FROM metering_rollupday d WHERE first_id = %s",
        "resource vm-0 is wrong",
    ),
}
LEDGER = {"a ledger entry", "a body", "a header", "a deleted header", "a deleted body"}


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_by_hand_is_named(audited_store, change):
    statement, told = CHANGES[change]
    first = Sample.objects.order_by("timestamp").filter(resource__resource_id="vm-0").first()
    with connection.cursor() as cursor:
        cursor.execute(statement, [first.pk])
    found = audit("--days", "5")
    assert told in found
    assert "the store is not what was signed" in found


@pytest.mark.parametrize("change", sorted(CHANGES.keys() - LEDGER - {"metadata"}))
def test_rebuilding_puts_right_what_was_changed_by_hand(audited_store, change):
    before = list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume"))
    first = Sample.objects.order_by("timestamp").filter(resource__resource_id="vm-0").first()
    with connection.cursor() as cursor:
        cursor.execute(CHANGES[change][0], [first.pk])
    call_command("rebuild", stdout=StringIO(), stderr=StringIO())
    assert list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume")) == before
    assert "the store is what was signed\n" in audit("--days", "5")


def test_samples_that_were_all_lost_come_back(audited_store):
    before = list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume"))
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE metering_sample, metering_rolluphour, metering_rollupday")
    out = StringIO()
    call_command("rebuild", stdout=out, stderr=StringIO())
    assert "5 batches, 15 samples and events written again" in out.getvalue()
    assert list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume")) == before
    assert "the store is what was signed\n" in audit()


def test_history_that_lies_years_back_is_audited_without_looking_at_the_years_between(audited_store):
    moment = at("2016-01-05T10:00:00")
    ensure_weeks({week_of(moment)})
    ingest(EnrolledAgent("node-2").message(some_samples(2, at=to_microseconds(moment))))
    keep_rollups(timezone.now())
    with connection.cursor() as cursor:
        cursor.execute("UPDATE metering_rolluphour SET volume_max = 9 WHERE time < '2016-02-01'")
    found = audit()
    assert "hour 2016-01-05T09:00: rollup of meter cpu, resource vm-1 is wrong" in found
    # Two hours were changed, and the day is not what they come to now, for each resource.
    assert "day 2016-01-05T00:00: rollup of meter cpu, resource vm-1 is wrong" in found
    assert found.count("is wrong") == 4


def test_rebuilding_leaves_alone_what_expired_origin_keys_would_have_told(audited_store):
    before = list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume"))
    Origin.objects.all().delete()
    out = StringIO()
    with pytest.raises(CommandError, match="1 batches could not be rebuilt"):
        call_command("rebuild", stdout=out, stderr=StringIO())
    assert "which of its inputs had been metered before is not in the ledger any more" in out.getvalue()
    assert list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume")) == before


def test_samples_that_retention_has_dropped_are_not_missed_while_their_bodies_are_kept(audited_store):
    moment = week_of(timezone.now() - timedelta(days=14)) + timedelta(hours=5, seconds=1)
    old = to_microseconds(moment)
    ingest(EnrolledAgent("node-2").message([*some_samples(2, at=old), *some_samples(2)]))
    keep_rollups(timezone.now())
    raise_floor(samples_of("standard"), week_of(moment) + WEEK)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM metering_sample WHERE timestamp <= %s", [moment])
    assert RollupHour.objects.filter(time__lt=moment).exists()
    assert "the store is what was signed\n" in audit()
    call_command("rebuild", stdout=StringIO(), stderr=StringIO())
    assert not Sample.objects.filter(timestamp__lte=moment).exists()
    assert RollupHour.objects.filter(time__lt=moment).exists()
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
    before = list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume"))
    out = StringIO()
    call_command("rebuild", stdout=out, stderr=StringIO())
    assert (
        "0 batches, 0 samples and events written again; 5 whose bodies retention has dropped were left as they are"
        in out.getvalue()
    )
    assert before == list(Sample.objects.order_by("id").values_list("id", "timestamp", "volume")) != []
