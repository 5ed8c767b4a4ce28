"""Samples for tests, stored the way that posted ones are: signed, verified, in the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from metering.collector.posting import Posted, post_samples
from metering.housekeeping.partitions import ensure_weeks, week_of
from metering.messages import Meter, Resource, Sample, volume_text

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="session")
def _old_weeks(django_db_setup, django_db_blocker):
    """Partitions of the week in 2016 in which most tests about old samples take place, made once."""
    with django_db_blocker.unblock():
        ensure_weeks({week_of(at("2016-01-05T00:00:00"))})


@pytest.fixture(autouse=True)
def old_weeks(request):
    """The partitions above for every test with a database; tests without one must not touch any."""
    if "db" in request.fixturenames:
        request.getfixturevalue("_old_weeks")


def at(text: str) -> datetime:
    """A time in UTC from ISO text without a zone."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def make_sample(
    *,
    meter: str = "cpu_util",
    type: str = "gauge",  # the field's own word
    unit: str = "%",
    volume: Any = 1,
    resource: str = "r1",
    project: str | None = "p1",
    user: str | None = "u1",
    source: str = "openstack",
    timestamp: datetime | str = "2016-01-05T10:00:00",
    metadata: dict[str, Any] | None = None,
) -> Sample:
    moment = at(timestamp) if isinstance(timestamp, str) else timestamp
    return Sample(
        Meter(meter, type, unit),
        Resource(resource, source, project, user, metadata or {}),
        (moment - _EPOCH) // timedelta(microseconds=1),
        volume_text(volume),
    )


def store_samples(samples: Iterable[Sample], *, poster: str = "tester", now: datetime | None = None) -> Posted:
    """Store samples in one batch; the partitions they need are made first."""
    samples = list(samples)
    moments = [_EPOCH + timedelta(microseconds=sample.timestamp) for sample in samples]
    ensure_weeks({week_of(moment) for moment in moments})
    posted = post_samples(samples, poster=poster, now=now or timezone.now())
    assert not posted.parked
    return posted


def store(**fields: Any) -> Posted:
    """Store one sample; see make_sample for its fields."""
    return store_samples([make_sample(**fields)])
