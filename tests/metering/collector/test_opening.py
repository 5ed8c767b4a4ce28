"""The next message is opened while the store writes this one; what is opened ahead is worth no more than what is opened in time."""

from __future__ import annotations

import pytest
from django.utils import timezone

from metering.collector.ingestion import Result, dimensions, ingest, opener
from metering.collector.opening import Opener
from metering.messages import Origin
from metering.models import AgentKey, Batch, Quarantine
from tests.support.agents import EnrolledAgent, some_samples
from tests.support.proof import assert_stored_once

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def agent() -> EnrolledAgent:
    """One that the collector has stored a batch of."""
    agent = EnrolledAgent()
    agent.first = agent.message(some_samples(5))
    ingest(agent.first)
    return agent


def test_announced_message_is_opened_while_the_one_before_it_is_written(agent, monkeypatch):
    taken = []
    take = Opener.take
    monkeypatch.setattr(Opener, "take", lambda self, message: taken.append(take(self, message)) or taken[-1])
    messages = [agent.message(some_samples(5)) for _ in range(4)]
    for message, following in zip(messages, [*messages[1:], None], strict=True):
        if following:
            opener.announce(following)
        assert ingest(message).result is Result.STORED
    assert taken[0] is None
    assert all(opened and opened.ids and opened.lines for opened in taken[1:])
    assert_stored_once([agent.first, *messages])


def test_batch_opened_ahead_is_refused_when_its_key_is_revoked_meanwhile(agent):
    first, second = agent.message(some_samples(2)), agent.message(some_samples(2))
    opener.announce(second)
    ingest(first)
    AgentKey.objects.update(revoked_at=timezone.now())
    assert ingest(second).reason == "key_not_valid"


def test_stranger_s_message_is_not_opened_ahead(agent):
    stranger = EnrolledAgent("stranger", enroll=False)
    message = stranger.message(some_samples(2))
    opener.announce(message)
    ingest(agent.message(some_samples(2)))
    assert opener.take(message) is None
    assert ingest(message).reason == "unknown_key"


@pytest.mark.parametrize("damage", [slice(0, 4), slice(-8, -1)], ids=["form", "body"])
def test_damaged_message_opened_ahead_is_quarantined_with_its_own_reason(agent, damage):
    message = bytearray(agent.message(some_samples(2)))
    message[damage] = bytes(len(message[damage]))
    opener.announce(bytes(message))
    ingest(agent.message(some_samples(2)))
    assert ingest(bytes(message)).result is Result.QUARANTINED
    assert Quarantine.objects.get().reason in ("malformed", "tampered_body")


def test_time_beyond_the_calendar_opened_ahead_is_quarantined_with_its_own_reason(agent):
    message = agent.message(some_samples(1, at=2**62))
    opener.announce(message)
    ingest(agent.message(some_samples(1)))
    assert ingest(message).reason == "time_out_of_bounds"


def test_batch_with_things_never_seen_is_opened_ahead_and_stored(agent):
    message = agent.message(some_samples(3, source="elsewhere", project="p9"))
    opener.announce(message)
    before = agent.message(some_samples(2))
    ingest(before)
    assert ingest(message).result is Result.STORED
    assert_stored_once([agent.first, before, message])


def test_inputs_metered_before_are_left_out_of_a_batch_opened_ahead(agent):
    keyed = agent.message(some_samples(2), origins=[Origin("a", 1), Origin("b", 1)])
    again = agent.message(some_samples(2), origins=[Origin("b", 1), Origin("c", 1)])
    opener.announce(again)
    ingest(keyed)
    assert ingest(again).result is Result.STORED
    assert list(Batch.objects.order_by("-sequence").values_list("stored_count", flat=True)[:2]) == [1, 2]


def test_emptied_memory_while_a_message_was_opened_ahead_changes_nothing(agent):
    first, second = agent.message(some_samples(5)), agent.message(some_samples(5))
    opener.announce(second)
    ingest(first)
    dimensions.clear()
    assert ingest(second).result is Result.STORED
    assert_stored_once([agent.first, first, second])
