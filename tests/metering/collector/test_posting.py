"""Samples posted to the API: the API's own key, the same way in as everything else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from celery import Celery
from django.conf import settings
from django.utils import timezone

from metering.collector import posting, tasks
from metering.collector.posting import post_samples
from metering.housekeeping.parked import admit_parked
from metering.messages import MessageRefused, parse_batch
from metering.models import Batch, ParkedBatch, Sample
from tests.support.agents import some_samples

pytestmark = pytest.mark.django_db

JULY_2013 = int(datetime(2013, 7, 3, tzinfo=UTC).timestamp()) * 1_000_000


def test_posted_samples_are_signed_by_the_api_and_name_who_posted():
    posted = post_samples(some_samples(2), poster="alice", now=timezone.now())
    batch = Batch.objects.get(pk=posted.batch_id)
    assert not posted.parked
    assert (batch.key.agent.name, Sample.objects.count()) == ("api", 2)
    assert b'"poster":"alice"' in bytes(batch.header)
    assert (settings.CELOMETER_HOME / "api" / "key.pem").stat().st_mode & 0o777 == 0o600


def test_posts_form_a_chain():
    ids = [post_samples(some_samples(1), poster="a", now=timezone.now()).batch_id for _ in range(3)]
    batches = [Batch.objects.get(pk=batch_id) for batch_id in ids]
    assert [batch.sequence for batch in batches] == [1, 2, 3]
    assert bytes(batches[2].previous_digest) == bytes(batches[1].header_digest)


def test_what_is_refused_is_told_and_nothing_is_stored():
    with pytest.raises(MessageRefused, match="earliest sample is at 2057"):
        post_samples(some_samples(1, at=JULY_2013 * 2), poster="a", now=timezone.now())
    assert not Batch.objects.exists()


def test_a_post_that_waits_for_its_partition_survives_a_broker_that_is_away(monkeypatch):
    monkeypatch.setattr(posting, "_PARKED_WAIT_SECONDS", 0.2)
    away = Celery("away", broker="redis://127.0.0.1:1/0", set_as_current=False)
    monkeypatch.setattr(tasks, "current_app", away)
    posted = post_samples(some_samples(1, at=JULY_2013), poster="a", now=timezone.now())
    assert posted.parked
    assert parse_batch(bytes(ParkedBatch.objects.get().message)).header.id == posted.batch_id
    admit_parked(timezone.now())
    assert Batch.objects.filter(pk=posted.batch_id).exists()
