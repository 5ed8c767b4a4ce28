"""The outbox: on disk before anything is sent, in order, once, and kept."""

from __future__ import annotations

import sqlite3
import time

import pytest

from agents.outbox import Outbox, OutboxFull
from agents.sender import Sender, send_round
from metering.messages import Meter, PrivateKey, Resource, Sample, open_body, parse_batch, seal_batch

KEY = PrivateKey.generate()
SAMPLE = Sample(Meter("cpu", "cumulative", "ns"), Resource(id="vm", source="openstack"), 1, "1")


@pytest.fixture
def outbox(tmp_path):
    return open_outbox(tmp_path)


def open_outbox(tmp_path, max_bytes=10**9):
    return Outbox(tmp_path / "outbox.sqlite3", key=KEY, agent="node-1", max_bytes=max_bytes)


def fill(outbox, count, first=0):
    for number in range(first, first + count):
        outbox.add([[SAMPLE]], source="compute", due=number * 1_000_000)


def read(pending):
    return [parse_batch(batch.message) for batch in pending]


def test_batches_wait_in_the_order_in_which_they_were_made(outbox):
    fill(outbox, 5)
    assert [batch.header.sequence for batch in read(outbox.unsent(limit=10))] == [1, 2, 3, 4, 5]


def test_the_chain_goes_on_across_restarts(tmp_path):
    fill(open_outbox(tmp_path), 2)
    fill(open_outbox(tmp_path), 2, first=2)
    batches = read(open_outbox(tmp_path).unsent(limit=10))
    assert len({batch.header.stream for batch in batches}) == 1
    assert [batch.header.previous for batch in batches] == ["", *(batch.header_digest for batch in batches[:-1])]
    for batch in batches:
        KEY.public.verify(batch.signature, batch.header_bytes)
        assert open_body(batch).samples() == [SAMPLE]


def test_the_chain_goes_on_after_everything_old_was_forgotten(tmp_path):
    outbox = open_outbox(tmp_path)
    fill(outbox, 3)
    last = read(outbox.unsent(limit=10))[-1]
    outbox.mark_sent([1, 2, 3], now=100.0)
    assert outbox.prune(now=1000.0, keep_seconds=60) == 3
    fill(outbox, 1, first=3)
    (new,) = read(outbox.unsent(limit=10))
    assert (new.header.sequence, new.header.previous) == (4, last.header_digest)


def test_the_same_work_again_is_the_first_batch(outbox):
    assert outbox.add([[SAMPLE]], source="compute", due=7_000_000) == 1
    assert outbox.add([[SAMPLE, SAMPLE]], source="compute", due=7_000_000) == 1
    (batch,) = read(outbox.unsent(limit=10))
    assert batch.header.count == 1


def test_parts_of_one_due_are_batches_of_their_own(outbox):
    assert outbox.add([[SAMPLE]] * 3, source="compute", due=7) == 3
    batches = read(outbox.unsent(limit=10))
    assert len({batch.header.id for batch in batches}) == 3
    assert [batch.header.unit for batch in batches] == ["0", "1", "2"]


def test_a_poll_is_kept_whole_or_not_at_all(outbox, monkeypatch):
    sealed = []

    def fail_at_the_third(*arguments, **options):
        sealed.append(arguments)
        if len(sealed) == 3:
            raise OSError("disk full")
        return seal_batch(*arguments, **options)

    monkeypatch.setattr("agents.outbox.seal_batch", fail_at_the_third)
    with pytest.raises(OSError, match="disk full"):
        outbox.add([[SAMPLE]] * 3, source="compute", due=7)
    assert outbox.state().unsent == 0 and outbox.last_due("compute") is None
    monkeypatch.undo()
    assert outbox.add([[SAMPLE]] * 3, source="compute", due=7) == 3
    assert [batch.header.sequence for batch in read(outbox.unsent(limit=10))] == [1, 2, 3]


def test_a_part_too_large_for_one_batch_is_halved(outbox):
    def large(number):
        return Sample(SAMPLE.meter, Resource(id=f"r{number}", source="s", metadata={"text": "x" * 60_000}), 1, "1")

    count = outbox.add([[large(number) for number in range(400)]], source="compute", due=7)
    assert count == 2
    assert sum(batch.header.count for batch in read(outbox.unsent(limit=10))) == 400


def test_a_host_that_is_renamed_goes_on_as_the_agent_that_its_key_is_enrolled_for(tmp_path, caplog):
    fill(open_outbox(tmp_path), 1)
    renamed = Outbox(tmp_path / "outbox.sqlite3", key=KEY, agent="node-2", max_bytes=10**9)
    assert "goes on as the agent node-1" in caplog.text
    fill(renamed, 1, first=1)
    batches = read(renamed.unsent(limit=10))
    assert [batch.header.agent for batch in batches] == ["node-1", "node-1"]
    assert len({batch.header.stream for batch in batches}) == 1


def test_a_replaced_key_begins_a_stream_of_its_own(tmp_path):
    fill(open_outbox(tmp_path), 2)
    key = PrivateKey.generate()
    replaced = Outbox(tmp_path / "outbox.sqlite3", key=key, agent="node-1", max_bytes=10**9)
    fill(replaced, 1, first=2)
    old, _, new = read(replaced.unsent(limit=10))
    assert new.header.stream != old.header.stream
    assert (new.header.sequence, new.header.previous, new.header.key) == (1, "", key.public.id)


def test_what_was_sent_is_kept_and_can_be_sent_again(outbox):
    fill(outbox, 3)
    sent = []
    assert send_round(outbox, sent.append) == (3, 0)
    assert outbox.state().unsent == 0 and outbox.state().sent == 3
    assert outbox.resend(since=0) == 3
    again = []
    send_round(outbox, again.append)
    assert again == sent


def test_resend_reaches_back_only_as_far_as_asked(outbox):
    fill(outbox, 2)
    outbox.mark_sent([1, 2], now=time.time())
    assert outbox.resend(since=time.time() + 60) == 0


def test_a_broker_that_fails_midway_gets_the_rest_later_and_in_order(outbox):
    fill(outbox, 5)
    taken = []

    def take_two(message):
        if len(taken) == 2:
            raise ConnectionError("gone")
        taken.append(message)

    with pytest.raises(ConnectionError):
        send_round(outbox, take_two)
    assert outbox.state().unsent == 3
    send_round(outbox, taken.append)
    assert [parse_batch(message).header.sequence for message in taken] == [1, 2, 3, 4, 5]


def test_only_one_sends_at_a_time(tmp_path):
    outbox, other = open_outbox(tmp_path), open_outbox(tmp_path)
    fill(outbox, 1)
    with outbox.sending() as mine:
        assert mine
        assert send_round(other, pytest.fail) == (0, 0)
    assert send_round(other, lambda message: None) == (1, 0)


def test_pruning_never_forgets_what_waits(outbox):
    fill(outbox, 3)
    outbox.mark_sent([1], now=0.0)
    outbox.prune(now=time.time(), keep_seconds=60)
    assert [batch.number for batch in outbox.unsent(limit=10)] == [2, 3]


def test_what_was_sent_while_the_clock_was_ahead_does_not_stay_for_ever(outbox):
    fill(outbox, 1)
    outbox.mark_sent([1], now=time.time() + 365 * 86400)
    assert outbox.prune(now=time.time(), keep_seconds=86400) == 1


def test_a_disk_too_full_to_mark_what_was_sent_stops_no_later_batch(outbox, monkeypatch):
    fill(outbox, 50)
    taken = []

    def refuse(*arguments, **options):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(outbox, "mark_sent", refuse)
    after = 0
    for _ in range(3):
        _, after = send_round(outbox, taken.append, after=after)
    assert [parse_batch(message).header.sequence for message in taken] == list(range(1, 51))
    monkeypatch.undo()
    send_round(outbox, taken.append)
    assert outbox.state().sent == 20


def test_a_full_outbox_keeps_what_it_has_and_says_so(tmp_path):
    outbox = open_outbox(tmp_path, max_bytes=1500)
    with pytest.raises(OutboxFull, match="nothing more is"):
        fill(outbox, 50)
    kept = outbox.state().unsent
    assert kept > 0
    send_round(outbox, lambda message: None)
    fill(outbox, 1, first=100)
    assert outbox.state().unsent == 1 and kept == outbox.state().sent


def test_the_last_due_is_remembered_across_restarts(tmp_path):
    outbox = open_outbox(tmp_path)
    assert outbox.last_due("compute") is None
    fill(outbox, 3)
    assert open_outbox(tmp_path).last_due("compute") == 2_000_000


def test_the_sender_goes_on_when_the_broker_comes_back(outbox):
    taken, away = [], [True, True]

    def publish(message):
        if away:
            away.pop()
            raise ConnectionError("away")
        taken.append(message)

    sender = Sender(outbox, publish, keep_seconds=60)
    fill(outbox, 3)
    sender.start()
    deadline = time.monotonic() + 20
    while len(taken) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    sender.stop()
    sender.join(timeout=5)
    assert len(taken) == 3 and not away
    assert outbox.state().unsent == 0
