"""What is past its time goes by whole partitions, nobody waits for it, and nothing of that time comes in again."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from metering.collector.ingestion import Result, ingest, release
from metering.housekeeping import retention
from metering.housekeeping.catalogue import list_partitions
from metering.housekeeping.locks import Job, holding
from metering.housekeeping.parked import admit_parked
from metering.housekeeping.partitions import WEEK, ensure_ahead, ensure_weeks, list_parents, week_of
from metering.housekeeping.retention import drop_expired, plan_retention
from metering.housekeeping.rolling import keep_rollups
from metering.messages import Meter as SentMeter
from metering.messages import Origin as SentOrigin
from metering.messages import to_microseconds
from metering.models import Batch, BatchBody, Meter, Origin, Quarantine, RetentionFloor, RollupHour, RollupMark, Sample
from metering.retention.floors import raise_floor
from metering.retention.policy import BadRetentionFile, load_policy, parse_duration
from tests.support.agents import EnrolledAgent, some_samples

POLICY = """
samples:
  standard: {keep: 100 days}
  hosts: {keep: 30 days, meters: ["hardware.*"]}
bodies: 50 days
origins: 10 days
quarantine: 10 days
"""
LOAD = SentMeter("hardware.cpu.load", "gauge", "process")
NOW = timezone.now()


def ago(days):
    return NOW - timedelta(days=days)


def message(agent, moment, *, due=None, meter=None, **changes):
    """A batch of one sample taken, and unless said otherwise due, at the moment."""
    samples = some_samples(1, at=to_microseconds(moment))
    if meter:
        samples = [sample._replace(meter=meter) for sample in samples]
    return agent.message(samples, due=to_microseconds(due or moment), **changes)


@pytest.fixture
def policy(tmp_path, settings):
    """Write another retention.yaml."""

    def write(text=POLICY):
        (tmp_path / "retention.yaml").write_text(text)
        settings.CELOMETER_CONFIG_DIR = str(tmp_path)

    return write


@pytest.fixture
def kept(store, policy):
    """A store with real commits under POLICY, with no old partitions at first; afterwards as other tests want it."""
    before = list_partitions(list_parents())
    drop_tables(partition.name for partition in before if partition.low < ago(21))
    policy()
    ensure_ahead(NOW)
    yield
    drop_tables(names() - {partition.name for partition in before})
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS metering_sample_hosts CASCADE")
        cursor.execute("DELETE FROM metering_retentionclass WHERE id <> 0")
        cursor.execute("DELETE FROM metering_retentionfloor")
    ensure_weeks({partition.low for partition in before})


def drop_tables(tables):
    with connection.cursor() as cursor:
        for name in tables:
            cursor.execute(f"DROP TABLE IF EXISTS {name} CASCADE")


def names():
    return {partition.name for partition in list_partitions(list_parents())}


def partitions_at(moment, *tables):
    tables = tables or ("sample_standard", "batch", "batchbody")
    present = names()
    return [table for table in tables if f"metering_{table}_{week_of(moment):%Y%m%d}" in present]


def take_in(*messages):
    """Ingest, with partitions made where they were missing."""
    for each in messages:
        ingest(each)
    return [outcome.result for outcome in admit_parked(timezone.now())]


# --- what retention.yaml may say ---


@pytest.mark.parametrize(
    ("text", "days"), [("1 day", 1), ("400 days", 400), ("2 weeks", 14), ("1 year", 366), ("forever", None)]
)
def test_a_time_is_written_in_words(text, days):
    assert parse_duration(text, where="x") == (None if days is None else timedelta(days=days))


@pytest.mark.parametrize(
    "value", ["0 days", "-1 days", "1.5 days", "10", 10, None, "10 months", "soon", [], "999999 days"]
)
def test_any_other_time_is_refused_by_its_name_and_value(value):
    with pytest.raises(BadRetentionFile, match=r"bodies: .*expected \"N days\""):
        parse_duration(value, where="bodies")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected a mapping"),
        ("samples: {", "not YAML"),
        ("samples: {}\nbodies: forever\norigins: 1 day", "quarantine is missing"),
        (POLICY + "colour: red", "unknown key 'colour'"),
        (POLICY.replace("standard", "usual"), "one named standard"),
        (POLICY.replace("hosts", "Robert'); DROP TABLE"), "expected a name of at most 24"),
        (POLICY.replace("hosts", "standard_20130101"), "expected a name of at most 24"),
        (POLICY.replace(', meters: ["hardware.*"]', ""), "meters is missing"),
        (POLICY.replace('["hardware.*"]', "hardware.*"), "expected a list of globs"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_was_expected(tmp_path, text, complaint):
    path = tmp_path / "retention.yaml"
    path.write_text(text)
    with pytest.raises(BadRetentionFile, match=complaint) as refused:
        load_policy(path)
    assert str(path) in str(refused.value)


def test_the_shipped_file_keeps_for_twenty_years(settings):
    shipped = load_policy(settings.CELOMETER_DEFAULTS_DIR / "retention.yaml")
    assert shipped.keep_of(shipped.class_of("cpu")) == timedelta(days=20 * 366)


# --- classes ---


@pytest.mark.django_db
def test_a_meter_gets_its_class_with_its_first_sample_and_keeps_it(policy):
    policy()
    ensure_ahead(NOW)
    agent = EnrolledAgent()
    assert ingest(message(agent, ago(0), meter=LOAD)).result == Result.STORED
    assert ingest(message(agent, ago(0))).result == Result.STORED
    policy(POLICY.replace("hardware.*", "cpu"))
    assert ingest(message(agent, ago(0), meter=LOAD)).result == Result.STORED
    assert {meter.name: meter.retention_class.name for meter in Meter.objects.all()} == {
        "hardware.cpu.load": "hosts",
        "cpu": "standard",
    }
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM metering_sample_hosts")
        assert cursor.fetchone() == (2,)


@pytest.mark.django_db
def test_a_class_that_has_no_tables_yet_gets_them_when_its_first_batch_comes(policy):
    policy()
    agent = EnrolledAgent()
    assert ingest(message(agent, ago(0), meter=LOAD)).result == Result.PARKED
    assert [outcome.result for outcome in admit_parked(timezone.now())] == [Result.STORED]
    assert Sample.objects.count() == 1


# --- what goes, and what stays ---


def test_each_class_is_dropped_at_its_own_time_and_nothing_younger_is_touched(kept):
    agent = EnrolledAgent()
    take_in(*(message(agent, ago(days), meter=meter) for days in (90, 60, 20) for meter in (None, LOAD)))
    plan = plan_retention(NOW)
    planned = {partition.name for partition in plan.partitions}

    assert set(drop_expired(NOW)) == planned
    assert drop_expired(NOW) == []

    assert {(row.meter.name, (NOW - row.timestamp).days) for row in Sample.objects.select_related("meter")} == {
        ("cpu", 90),
        ("cpu", 60),
        ("cpu", 20),
        ("hardware.cpu.load", 20),
    }
    assert Batch.objects.count() == 6
    assert BatchBody.objects.count() == 2
    floors = dict(RetentionFloor.objects.values_list("subject", "floor_at"))
    assert floors["samples.hosts"] == week_of(ago(30))
    assert floors["samples.standard"] == week_of(ago(100))


def test_a_dry_run_shows_what_would_go_and_changes_nothing(kept, capsys):
    take_in(message(EnrolledAgent(), ago(150)))
    before = names()
    call_command("retention", "--dry-run")
    shown = capsys.readouterr().out
    assert f"{week_of(ago(150)):%Y-%m-%d}" in shown and "goes" in shown
    assert f"{week_of(NOW):%Y-%m-%d}" not in shown
    assert names() == before and not RetentionFloor.objects.exists()
    call_command("retention")
    assert f"{week_of(NOW):%Y-%m-%d}" in capsys.readouterr().out


def test_a_header_lives_as_long_as_any_of_its_samples(kept):
    agent = EnrolledAgent()
    take_in(message(agent, ago(1), due=ago(150)), message(agent, ago(200), due=ago(200)))
    drop_expired(NOW)
    assert partitions_at(ago(150)) == ["batch"]
    assert partitions_at(ago(200)) == []
    assert [(NOW - batch.due_at).days for batch in Batch.objects.all()] == [150]
    # Beside it other headers of that time are still taken.
    assert RetentionFloor.objects.get(subject="ledger").floor_at <= week_of(ago(150))
    assert Sample.objects.count() == 1


def test_a_header_that_is_written_while_its_partition_goes_brings_it_back(kept):
    take_in(message(EnrolledAgent(), ago(1), due=ago(150)))
    headers = [p for p in list_partitions(list_parents()) if p.name == f"metering_batch_{week_of(ago(150)):%Y%m%d}"]
    # As if it had been empty when it was looked at a moment ago.
    assert retention._drop_all(headers) == []
    assert Batch.objects.count() == 1
    assert partitions_at(ago(150), "batch") == ["batch"]


def test_a_header_that_a_killed_round_had_detached_comes_back_when_it_is_needed(kept):
    take_in(message(EnrolledAgent(), ago(1), due=ago(150)))
    raise_floor("ledger", week_of(ago(100)))
    with connection.cursor() as cursor:
        table = f"metering_batch_{week_of(ago(150)):%Y%m%d}"
        cursor.execute(f"ALTER TABLE metering_batch DETACH PARTITION {table} CONCURRENTLY")
    assert not Batch.objects.exists()
    drop_expired(NOW)
    assert Batch.objects.count() == 1


def test_what_is_kept_for_ever_is_never_dropped(kept, policy):
    policy(POLICY.replace("100 days", "forever").replace("50 days", "forever"))
    take_in(message(EnrolledAgent(), ago(3000)))
    drop_expired(NOW)
    assert partitions_at(ago(3000)) == ["sample_standard", "batch", "batchbody"]


def test_a_class_that_the_file_names_no_more_is_kept(kept, policy):
    take_in(message(EnrolledAgent(), ago(90), meter=LOAD))
    policy(POLICY.replace('  hosts: {keep: 30 days, meters: ["hardware.*"]}\n', ""))
    drop_expired(NOW)
    assert Sample.objects.count() == 1


def test_origin_keys_and_quarantine_go_row_by_row(kept):
    for number, days in enumerate((40, 30, 1)):
        Origin.objects.create(source="s", key=str(number), batch_id="0" * 32, recorded_at=ago(days))
        Quarantine.objects.create(
            digest=bytes([number]), reason="r", detail="", message=b"", received_at=ago(days), origin={}
        )
    assert plan_retention(NOW).rows == {"origins": 2, "quarantine": 2}
    drop_expired(NOW)
    assert [row.key for row in Origin.objects.all()] == ["2"]
    assert [bytes(row.digest) for row in Quarantine.objects.all()] == [b"\x02"]


def test_rollups_are_kept_as_long_as_samples_of_any_class(kept):
    agent = EnrolledAgent()
    # A rollup's partition spans more weeks than one of samples.
    take_in(*(message(agent, ago(days), due=ago(0), meter=meter) for days in (140, 60) for meter in (None, LOAD)))
    keep_rollups(NOW, seconds=60)
    assert RollupHour.objects.count() == 4
    drop_expired(NOW)
    assert {(NOW - row.time).days for row in RollupHour.objects.all()} == {60}
    assert RollupHour.objects.count() == 2


def test_an_hour_below_the_floor_is_not_made_again(kept):
    take_in(message(EnrolledAgent(), ago(60), due=ago(0), meter=LOAD))
    keep_rollups(NOW, seconds=60)
    before = list(RollupHour.objects.values())
    RollupMark.objects.create(hour=before[0]["time"], meter_id=before[0]["meter_id"], batch_id=uuid4())
    drop_expired(NOW)
    assert not Sample.objects.exists()
    keep_rollups(NOW, seconds=60)
    assert list(RollupHour.objects.values()) == before
    assert not RollupMark.objects.exists()


# --- what comes too late ---


def test_a_sample_from_below_the_floor_is_quarantined_with_the_floor_even_when_released(kept):
    drop_expired(NOW)
    agent = EnrolledAgent()
    outcome = ingest(message(agent, ago(150), due=ago(0)))
    assert outcome[2:] == (
        "below_floor",
        f"sample of cpu at {ago(150):%Y-%m-%dT%H:%M:%SZ}: samples of its class have been dropped before "
        f"{week_of(ago(100)):%Y-%m-%dT%H:%M:%SZ}",
    )
    assert release(Quarantine.objects.get(), by=None).reason == "below_floor"
    assert ingest(message(agent, ago(40), meter=LOAD, due=ago(0))).reason == "below_floor"
    assert take_in(message(agent, ago(40), due=ago(0))) == [Result.STORED]


def test_a_batch_that_waited_below_the_floor_makes_no_partition(kept):
    assert ingest(message(EnrolledAgent(), ago(150), due=ago(0))).result == Result.PARKED
    drop_expired(NOW)
    assert [outcome.reason for outcome in admit_parked(timezone.now())] == ["below_floor"]
    assert partitions_at(ago(150), "sample_standard", "batchbody") == []


def test_an_id_from_below_the_ledgers_floor_is_quarantined(kept):
    agent = EnrolledAgent()
    first = message(agent, ago(150))
    take_in(first)
    drop_expired(NOW)
    again = ingest(first)
    assert (again.reason, "ledger has been dropped" in again.detail) == ("below_floor", True)


@pytest.mark.django_db
def test_inputs_whose_keys_have_been_dropped_are_not_metered_again():
    """Someone kept a bundle of notifications for longer than the store keeps their keys, and hands it to another transform role."""
    samples = some_samples(1, at=to_microseconds(ago(20)))
    take_in(EnrolledAgent("mq-1").message(samples, due=to_microseconds(ago(20)), origins=[SentOrigin("m-1", 1)]))
    Origin.objects.all().delete()
    raise_floor("origins", ago(10))
    again = ingest(EnrolledAgent("mq-2").message(samples, due=to_microseconds(ago(20)), origins=[SentOrigin("m-1", 1)]))
    assert (again.reason, "is not known any more" in again.detail) == ("below_floor", True)
    assert Sample.objects.count() == 1


def test_a_batch_from_below_the_floor_of_bodies_is_stored_without_its_body(kept):
    drop_expired(NOW)
    assert take_in(message(EnrolledAgent(), ago(80))) == [Result.STORED]
    assert (Batch.objects.count(), BatchBody.objects.count(), Sample.objects.count()) == (1, 0, 1)


@pytest.mark.django_db
def test_one_batch_may_not_spread_over_more_weeks_than_the_setting(settings):
    settings.CELOMETER_MAX_BATCH_WEEKS = 3
    agent, base = EnrolledAgent(), week_of(ago(0)) - 10 * WEEK
    days = [some_samples(1, at=to_microseconds(base + number * WEEK))[0] for number in range(4)]
    assert ingest(agent.message(days[:3])).result == Result.PARKED
    outcome = ingest(agent.message(days))
    assert outcome[2:] == ("too_many_weeks", "samples of 4 weeks: expected at most 3 in one batch; split it")
    assert release(Quarantine.objects.get(), by=None).result == Result.PARKED


# --- nobody waits ---


def waits():
    """(pid, mode) of every lock that is asked for and not granted on one of our tables or transactions."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pid, mode FROM pg_locks WHERE NOT granted")
        return cursor.fetchall()


def exclusive_locks():
    """Tables of ours on which somebody holds an AccessExclusive lock."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.relname FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
            " WHERE l.granted AND l.mode = 'AccessExclusiveLock' AND c.relname LIKE 'metering%%'"
        )
        return [name for (name,) in cursor.fetchall()]


WRITING = (
    "INSERT INTO metering_sample (timestamp, meter_id, resource_id, state_id, id, volume)"
    " VALUES (%s, 1, 1, 1, gen_random_uuid(), 1)"
)
READING = "SELECT count(*) FROM metering_sample WHERE timestamp = %s"


class OpenTransaction:
    """A session that has written or read a sample and not committed yet."""

    def __init__(self, moment, statement=WRITING):
        self.moment, self.statement = moment, statement
        self.opened, self.release = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(self.statement, [self.moment])
            self.opened.set()
            self.release.wait(60)
            cursor.execute("COMMIT")
        connection.close()

    def __enter__(self):
        self.thread.start()
        assert self.opened.wait(10)
        return self

    def __exit__(self, *_):
        self.release.set()
        self.thread.join()


class Dropping:
    """A round of retention in another session."""

    def __init__(self):
        self.dropped, self.pid = None, None
        self.started = threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            (self.pid,) = cursor.fetchone()
        self.started.set()
        self.dropped = drop_expired(NOW)
        connection.close()

    def __enter__(self):
        self.thread.start()
        assert self.started.wait(10)
        return self

    def __exit__(self, *_):
        self.thread.join()

    def await_waiting(self):
        """Return once it waits for somebody's transaction."""
        while self.thread.is_alive() and self.pid not in {pid for pid, _ in waits()}:
            time.sleep(0.005)
        assert self.thread.is_alive()


@pytest.mark.parametrize("how", [WRITING, READING], ids=["written", "read"])
@pytest.mark.parametrize("where", [NOW, ago(150)], ids=["another partition", "the partition that goes"])
def test_collectors_write_on_while_housekeeping_waits_to_drop_a_partition(kept, where, how):
    agent = EnrolledAgent()
    take_in(message(agent, ago(150), due=ago(0)))
    with OpenTransaction(where, how) as other, Dropping() as dropping:
        dropping.await_waiting()
        assert exclusive_locks() == []
        # The batch commits while housekeeping still waits: nothing that it needs is held, nor queued for.
        assert ingest(message(agent, ago(0))).result == Result.STORED
        assert {pid for pid, _ in waits()} <= {dropping.pid}
        other.release.set()
    assert f"metering_sample_standard_{week_of(ago(150)):%Y%m%d}" in dropping.dropped
    assert partitions_at(ago(150), "sample_standard") == []


def test_a_drop_that_cannot_have_its_lock_gives_up_and_a_later_round_finishes_it(kept):
    agent = EnrolledAgent()
    take_in(message(agent, ago(150), due=ago(0)), message(agent, ago(160), due=ago(0)))
    with OpenTransaction(ago(160)):
        assert not any("sample_standard" in name for name in drop_expired(NOW))
        assert [p.is_detaching for p in list_partitions(list_parents())].count(True) == 1
        assert exclusive_locks() == []
        assert ingest(message(agent, ago(0))).result == Result.STORED
    drop_expired(NOW)
    assert partitions_at(ago(150), "sample_standard") == partitions_at(ago(160), "sample_standard") == []


def test_what_a_killed_round_had_detached_is_dropped_by_the_next(kept):
    take_in(message(EnrolledAgent(), ago(150), due=ago(0)))
    table = f"metering_sample_standard_{week_of(ago(150)):%Y%m%d}"
    raise_floor("samples.standard", week_of(ago(100)))
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE metering_sample_standard DETACH PARTITION {table} CONCURRENTLY")
    assert drop_expired(NOW)[0] == table


def test_what_was_detached_and_is_still_read_keeps_nothing_else_waiting(kept):
    agent = EnrolledAgent()
    take_in(message(agent, ago(150), due=ago(0)), message(agent, ago(160), due=ago(0)))
    table = f"metering_sample_standard_{week_of(ago(150)):%Y%m%d}"
    raise_floor("samples.standard", week_of(ago(100)))
    with connection.cursor() as cursor:
        cursor.execute(f"ALTER TABLE metering_sample_standard DETACH PARTITION {table} CONCURRENTLY")
    with OpenTransaction(ago(150), f"SELECT count(*) FROM {table} WHERE timestamp = %s"):
        dropped = drop_expired(NOW)
        assert table not in dropped and f"metering_sample_standard_{week_of(ago(160)):%Y%m%d}" in dropped
        assert exclusive_locks() == []
    assert drop_expired(NOW)[0] == table


def test_a_detached_table_from_above_the_floor_is_left_alone(kept):
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE metering_sample_standard_20990105 (x int)")
        try:
            assert drop_expired(NOW) == []
            cursor.execute("SELECT to_regclass('metering_sample_standard_20990105') IS NOT NULL")
            assert cursor.fetchone() == (True,)
        finally:
            cursor.execute("DROP TABLE metering_sample_standard_20990105")


def test_while_partitions_are_made_none_is_dropped(kept):
    take_in(message(EnrolledAgent(), ago(150), due=ago(0)))
    with holding(Job.PARTITIONS) as mine:
        assert mine
        with Dropping() as dropping:
            pass
    assert dropping.dropped == []
    assert drop_expired(NOW) != []


def test_history_is_kept_that_no_retention_has_reached(kept, policy):
    policy(POLICY.replace("100 days", "20 years").replace("50 days", "20 years").replace("30 days", "forever"))
    moment = datetime(2013, 7, 3, 12, tzinfo=UTC)
    assert take_in(message(EnrolledAgent(), moment)) == [Result.STORED]
    assert drop_expired(NOW) == []
    assert Sample.objects.count() == 1
