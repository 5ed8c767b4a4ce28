"""Partitions ahead of need and on demand, without making anybody wait."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from metering.collector.ingestion import Result, ingest
from metering.housekeeping.locks import Job, holding
from metering.housekeeping.parked import admit_parked
from metering.housekeeping.partitions import WEEK, ensure_ahead, ensure_weeks, week_of
from metering.housekeeping.routine import keep_house
from metering.models import AgentKey, ParkedBatch, Quarantine, Sample
from tests.support.agents import EnrolledAgent, some_samples

JULY_2013 = datetime(2013, 7, 3, 12, tzinfo=UTC)


def microseconds(moment):
    return int(moment.timestamp()) * 1_000_000


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)))
def test_a_moment_lies_in_the_week_that_begins_on_its_monday(moment):
    week = week_of(moment)
    assert week <= moment < week + WEEK
    assert (week.weekday(), week.hour, week.minute, week.microsecond) == (0, 0, 0, 0)


@pytest.mark.django_db
def test_this_week_and_the_next_two_are_made_ahead_once():
    far = timezone.now() + timedelta(days=400)
    made = ensure_ahead(far)
    assert len(made) == 15
    assert f"metering_sample_standard_{week_of(far):%Y%m%d}" in made
    assert ensure_ahead(far) == []


@pytest.mark.django_db
def test_partitions_have_the_parents_indexes():
    ensure_weeks([week_of(JULY_2013)])
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'metering_sample_standard_20130701'")
        assert cursor.fetchone() == (2,)
        cursor.execute("SELECT count(*) FROM pg_indexes WHERE tablename = 'metering_batch_20130701'")
        assert cursor.fetchone() == (3,)


@pytest.mark.django_db
def test_a_sample_of_2013_sent_today_is_stored_once_its_partition_is_made():
    message = EnrolledAgent().message(some_samples(3, at=microseconds(JULY_2013)))
    assert ingest(message).result == Result.PARKED
    assert [outcome.result for outcome in admit_parked(timezone.now())] == [Result.STORED]
    assert not ParkedBatch.objects.exists()
    assert Sample.objects.filter(timestamp__year=2013).count() == 3
    assert ingest(message).result == Result.DUPLICATE


@pytest.mark.django_db
def test_a_batch_whose_key_was_revoked_while_it_waited_is_quarantined():
    ingest(EnrolledAgent().message(some_samples(1, at=microseconds(JULY_2013))))
    AgentKey.objects.update(revoked_at=timezone.now())
    assert [outcome.reason for outcome in admit_parked(timezone.now())] == ["key_not_valid"]
    assert Quarantine.objects.get().reason == "key_not_valid"
    assert not ParkedBatch.objects.exists() and not Sample.objects.exists()


@pytest.mark.django_db
def test_a_round_does_both_jobs():
    ingest(EnrolledAgent().message(some_samples(1, at=microseconds(JULY_2013))))
    kept = keep_house(timezone.now())
    assert [outcome.result for outcome in kept.admitted] == [Result.STORED]


def test_a_partition_is_made_while_a_collectors_transaction_is_open(store):
    agent = EnrolledAgent()
    opened, release = threading.Event(), threading.Event()

    def write_slowly():
        with connection.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute("SELECT count(*) FROM metering_sample")
            cursor.execute("LOCK TABLE metering_sample IN ROW EXCLUSIVE MODE")
            opened.set()
            release.wait(20)
            cursor.execute("COMMIT")
        connection.close()

    writer = threading.Thread(target=write_slowly)
    writer.start()
    try:
        assert opened.wait(10)
        week = week_of(datetime(2014, 1, 1, tzinfo=UTC))
        assert len(ensure_weeks([week])) == 5
        assert ingest(agent.message(some_samples(1, at=microseconds(week)))).result == Result.STORED
    finally:
        release.set()
        writer.join()
        drop_partitions("20131230")


def test_only_one_session_does_a_job(store):
    with holding(Job.PARTITIONS) as mine:
        assert mine
        found = []

        def other():
            with holding(Job.PARTITIONS) as theirs:
                found.append(theirs)
            connection.close()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
        assert found == [False]
    with holding(Job.PARTITIONS) as mine:
        assert mine


def drop_partitions(day):
    with connection.cursor() as cursor:
        for table in ("sample_standard", "event", "eventraw", "batch", "batchbody"):
            cursor.execute(f"DROP TABLE IF EXISTS metering_{table}_{day}")
