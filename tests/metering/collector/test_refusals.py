"""What an agent could not make anything of is kept under the agent's reason, as it came to the agent."""

from __future__ import annotations

import pytest

from metering.collector.ingestion import Result, ingest
from metering.messages import Refusal
from metering.models import Quarantine

pytestmark = pytest.mark.django_db


def test_a_refusal_lies_in_the_quarantine_with_the_bytes_that_the_agent_got() -> None:
    refusal = Refusal("mq-1", "bad_notification", "timestamp 'yesterday': expected a time", b"\x00\xffthe body")
    for _ in range(2):
        assert ingest(refusal.to_bytes()).result is Result.QUARANTINED
    entry = Quarantine.objects.get()
    assert (entry.reason, entry.detail, entry.agent_name) == ("bad_notification", refusal.detail, "mq-1")
    assert bytes(entry.message) == refusal.message
    assert entry.received_count == 2


def test_a_refusal_that_cannot_be_read_is_kept_itself() -> None:
    message = Refusal("mq-1", "bad_notification", "", b"").to_bytes()[:-3]
    assert ingest(message).result is Result.QUARANTINED
    entry = Quarantine.objects.get()
    assert (entry.reason, bytes(entry.message)) == ("malformed", message)


def test_a_detail_that_no_text_column_can_hold_is_kept_readable() -> None:
    ingest(Refusal("mq\x00", "bad_notification", "a\x00b \ud800", b"x").to_bytes())
    assert Quarantine.objects.get().detail == "a\\0b \\ud800"


def test_a_refusal_always_fits_through_a_broker() -> None:
    """RabbitMQ 4 takes 16 MiB; one that it refuses would hold up all that lie behind it in the outbox."""
    message = Refusal("mq-1", "bad_notification", "why", b"x" * 16 * 1024 * 1024).to_bytes()
    assert len(message) < 2 * 1024 * 1024
    ingest(message)
    entry = Quarantine.objects.get()
    assert entry.detail == "of 16777216 bytes the first 1048576 are kept: why"
    assert bytes(entry.message) == b"x" * 1024 * 1024
