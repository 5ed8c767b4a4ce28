"""Fixtures for all tests. ``db`` and ``transactional_db`` (pytest-django) are a real PostgreSQL; see tests/support."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

import config.celery  # noqa: F401  (the app that tasks are sent by)
from metering.api.throttling import forget_blocks
from metering.collector import ingestion, posting
from metering.housekeeping.partitions import ensure_ahead

pytest_plugins = ["tests.support.skips", "tests.support.roles", "tests.support.stacks", "tests.support.notifier"]


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup, django_db_blocker):
    """The test database also has the partitions of the last weeks."""
    with django_db_blocker.unblock():
        ensure_ahead(timezone.now() - timedelta(days=14))
        ensure_ahead(timezone.now())


@pytest.fixture(autouse=True)
def _fresh_memory():
    """What a process remembers of the store is wrong once a test's rows are rolled back."""
    yield
    ingestion.dimensions.clear()
    posting.forget_signer()
    forget_blocks()


@pytest.fixture
def store(transactional_db):
    """The store with real commits, empty before and after: for tests where several connections or processes look at it."""
    empty_partitioned_tables()
    yield
    empty_partitioned_tables()


def empty_partitioned_tables() -> None:
    # Django's own flush leaves out tables that its migrations do not manage.
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE metering_sample, metering_rollupmark, metering_batch, metering_batchbody,"
            " metering_rolluphour, metering_rollupday, metering_rollupdaymark, metering_event, metering_eventraw"
        )
