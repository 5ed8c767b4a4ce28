"""Indexes of weeks that are over are built anew, once, while others read and write."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from metering.housekeeping import indexes, locks
from metering.housekeeping.indexes import rebuild_indexes
from metering.housekeeping.locks import Job
from metering.housekeeping.partitions import WEEK, ensure_weeks, week_of
from metering.queries.filters import SampleFilter, Scope
from metering.queries.samples import list_samples
from tests.support.samples import make_sample, store_samples

NOW = timezone.now()
START = week_of(NOW) - 3 * WEEK
OVER = START + WEEK + timedelta(days=1)


@pytest.fixture
def loose_week(store, monkeypatch):
    """A week of samples whose indexes have grown poll by poll; small weeks count, too."""
    monkeypatch.setattr(indexes, "_LEAST_BYTES", 0)
    ensure_weeks([START])
    for poll in range(40):
        moment = START + poll * timedelta(minutes=5)
        store_samples(make_sample(resource=f"r{number}", timestamp=moment, volume=poll) for number in range(100))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE metering_sample")
    return f"metering_sample_standard_{START:%Y%m%d}"


@contextmanager
def another_session(statement, parameters=None):
    """Another session that has run the statement and whose transaction goes on meanwhile."""
    other = connection.copy()
    try:
        other.set_autocommit(False)
        with other.cursor() as cursor:
            cursor.execute(statement, parameters)
        yield
        other.rollback()
    finally:
        other.close()


def index_bytes(table):
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_indexes_size(%s::regclass)", [table])
        return cursor.fetchone()[0]


def invalid_indexes():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_index WHERE NOT indisvalid")
        return cursor.fetchone()[0]


def all_samples():
    return list_samples(SampleFilter(meter="cpu_util"), scope=Scope(None), limit=10_000)


def test_indexes_of_a_week_that_is_over_shrink_and_find_the_same(loose_week):
    before, found = index_bytes(loose_week), all_samples()
    assert rebuild_indexes(OVER) == loose_week
    assert index_bytes(loose_week) < 0.8 * before
    assert all_samples() == found
    assert len(found) == 4000
    assert invalid_indexes() == 0


def test_what_was_built_anew_is_not_built_again(loose_week):
    assert rebuild_indexes(OVER) == loose_week
    assert rebuild_indexes(OVER) == ""


def test_a_week_that_is_written_to_is_left_alone(loose_week):
    assert rebuild_indexes(OVER - timedelta(seconds=1)) == ""


def test_a_late_sample_finds_its_place_in_an_index_built_anew(loose_week):
    rebuild_indexes(OVER)
    late = START + timedelta(days=1)
    store_samples([make_sample(resource="r7", timestamp=late, volume=1234)])
    assert all_samples()[0].timestamp == late


def test_one_session_builds_at_a_time(loose_week):
    with another_session("SELECT pg_advisory_xact_lock(%s, %s)", [locks._CELOMETER, Job.INDEXES]):
        assert rebuild_indexes(OVER) == ""
    assert rebuild_indexes(OVER) == loose_week


def test_a_table_in_use_is_left_to_a_later_round_which_clears_up(loose_week, monkeypatch):
    monkeypatch.setattr(indexes, "_LOCK_TIMEOUT", "100ms")
    with another_session(f"LOCK TABLE {loose_week} IN ROW EXCLUSIVE MODE"):
        assert rebuild_indexes(OVER) == ""
    assert invalid_indexes() > 0, "nothing was left behind: nothing was tested"
    assert rebuild_indexes(OVER) == loose_week
    assert invalid_indexes() == 0
