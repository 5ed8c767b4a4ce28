"""The poller: each due time once, by tick or by its own timer."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from agents.contract import Problem
from agents.outbox import Outbox
from agents.poller import Poller, grace_seconds, keep_samples
from agents.polling import Polled, Source, due_at
from metering.messages import Meter, PrivateKey, Resource, Sample, parse_batch

SAMPLE = Sample(Meter("cpu", "cumulative", "ns"), Resource(id="vm", source="openstack"), 1, "1")
LONG = Source("compute", 3600, ("*",))
SHORT = Source("compute", 1, ("*",))


@pytest.fixture
def outbox(tmp_path):
    return Outbox(tmp_path / "outbox.sqlite3", key=PrivateKey.generate(), agent="node-1", max_bytes=10**9)


@pytest.fixture
def run(outbox):
    pollers = []

    def start(source, poll=lambda source: Polled([SAMPLE], [])):
        poller = Poller([source], poll=poll, outbox=outbox, labels={"zone": "z1"}, on_batch=lambda: None)
        pollers.append(poller)
        poller.start()
        return poller

    yield start
    for poller in pollers:
        poller.stop()
        poller.join(timeout=5)
        assert not poller.is_alive()


def dues(outbox):
    return [parse_batch(batch.message).header.due for batch in outbox.unsent(limit=100)]


def wait_for(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_the_first_poll_does_not_wait_for_a_tick(run, outbox):
    run(LONG)
    wait_for(lambda: dues(outbox) == [due_at(time.time(), interval_seconds=3600)])


def test_a_tick_is_done_once_however_often_it_comes(run, outbox):
    poller = run(LONG)
    wait_for(lambda: len(dues(outbox)) == 1)
    later = dues(outbox)[0] + 3600_000_000
    for _ in range(5):
        poller.tick("compute", later)
    wait_for(lambda: len(dues(outbox)) == 2)
    poller.tick("compute", later)
    poller.tick("compute", later - 3600_000_000)
    time.sleep(0.3)
    assert dues(outbox)[1:] == [later]


def test_a_tick_of_an_unknown_source_changes_nothing(run, outbox):
    poller = run(LONG)
    wait_for(lambda: len(dues(outbox)) == 1)
    poller.tick("other", 10**16)
    time.sleep(0.2)
    assert len(dues(outbox)) == 1


def test_without_ticks_the_node_polls_by_its_own_timer_on_the_grid(run, outbox):
    run(SHORT)
    wait_for(lambda: len(dues(outbox)) >= 4)
    found = dues(outbox)
    assert all(due % 1_000_000 == 0 for due in found)
    assert [later - earlier for earlier, later in pairwise(found)] == [1_000_000] * (len(found) - 1)


def test_a_restart_within_one_interval_does_not_poll_again(run, outbox):
    first = run(LONG)
    wait_for(lambda: len(dues(outbox)) == 1)
    first.stop()
    first.join(timeout=5)
    run(LONG)
    time.sleep(0.3)
    assert len(dues(outbox)) == 1


def test_a_poll_that_raises_is_a_gap_and_the_next_goes_on(run, outbox):
    calls = []

    def poll(source):
        calls.append(source)
        if len(calls) < 3:
            raise OSError("disk full")
        return Polled([SAMPLE], [])

    run(SHORT, poll)
    wait_for(lambda: len(dues(outbox)) >= 2)
    assert len(calls) == len(dues(outbox)) + 2


def test_a_clock_that_was_ahead_does_not_silence_the_node(run, outbox, caplog):
    outbox.add([[SAMPLE]], source="compute", due=due_at(time.time() + 365 * 86400, interval_seconds=1))
    run(SHORT)
    wait_for(lambda: len(dues(outbox)) >= 3)
    assert "the clock was ahead" in caplog.text


def test_a_problem_is_told_when_it_begins_and_when_it_ends(run, outbox, caplog):
    away = Problem(where="local_instances", what="libvirt is away")
    polls = []

    def poll(source):
        polls.append(source)
        return Polled([SAMPLE], [away] if len(polls) <= 3 else [])

    with caplog.at_level("INFO"):
        run(SHORT, poll)
        wait_for(lambda: len(polls) >= 5)
    told = [record.getMessage() for record in caplog.records if "libvirt is away" in record.getMessage()]
    assert told == [
        "polling compute: local_instances: libvirt is away",
        "polling compute: local_instances is over: libvirt is away",
    ]


def test_a_poll_without_samples_is_no_batch(outbox):
    assert keep_samples(outbox, Polled([], []), source=LONG, due=1, labels={}) == 0
    assert dues(outbox) == []


def test_a_large_poll_is_cut_into_batches_of_bounded_size(outbox):
    assert keep_samples(outbox, Polled([SAMPLE] * 25_000, []), source=LONG, due=1, labels={"zone": "z"}) == 3
    headers = [parse_batch(batch.message).header for batch in outbox.unsent(limit=10)]
    assert [header.count for header in headers] == [10_000, 10_000, 5_000]
    assert len({header.id for header in headers}) == 3
    assert headers[0].labels == {"zone": "z"}


def test_grace_is_a_tenth_of_the_interval_and_bounded():
    assert (grace_seconds(10), grace_seconds(300)) == (1.0, 5.0)
