"""Keys of posted requests: one request each, known by the batch that it makes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from metering.collector.errors import KeyReused
from metering.collector.keyed import claim, recall, release
from metering.collector.posting import post_samples
from metering.models import Batch, Origin
from tests.support.samples import make_sample


def remember(*content: bytes, key: str = "k", user_id: int = 1, later: timedelta = timedelta()):
    return recall(key, user_id=user_id, content=content or (b"body",), now=timezone.now() + later)


def test_a_claimed_request_is_recalled_with_its_time_and_batch(db):
    first = claim(remember())
    again = remember(later=timedelta(days=3))
    assert (again.at, again.batch_id, again.is_repeat) == (first.at, first.batch_id, True)
    assert first.at.microsecond % 1000 == 0
    assert claim(again) == again
    assert Origin.objects.count() == 1


def test_whoever_claims_second_gets_the_first_request(db):
    one, other = remember(), remember(later=timedelta(seconds=1))
    first = claim(one)
    assert claim(other) == first._replace(is_repeat=True)


@pytest.mark.parametrize("content", [(b"bod", b"y"), (b"", b"body"), (b"body", b""), (b"other",)])
def test_other_content_is_another_request(db, content):
    claim(remember())
    with pytest.raises(KeyReused):
        remember(*content)


def test_users_and_keys_do_not_run_into_each_other(db):
    claim(remember(key="1", user_id=11))
    assert not remember(key="11", user_id=1).is_repeat
    assert not remember(key="1", user_id=1).is_repeat


def test_only_the_key_of_what_is_not_stored_is_given_back(db):
    release(claim(remember()))
    assert not Origin.objects.exists()
    kept = claim(remember())
    posted = post_samples([make_sample(timestamp=timezone.now())], poster="a", now=timezone.now(), keyed=kept)
    assert posted.batch_id == kept.batch_id == Batch.objects.get().pk
    release(kept)
    assert Origin.objects.count() == 1
