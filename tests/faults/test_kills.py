"""A collector that is killed at any moment loses nothing and doubles nothing."""

from __future__ import annotations

import random
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from metering.models import AgentKey, Batch, Quarantine
from tests.faults.conftest import Barrier
from tests.support.agents import EnrolledAgent, some_samples
from tests.support.proof import assert_stored_once
from tests.support.roles import Role, Stage, wait_until
from tests.support.stacks import TRANSPORTS, Stack

# In the order in which a batch of new resources reaches them.
STATEMENTS = (
    "metering_meter",
    "metering_batch",
    "metering_batchbody",
    "metering_sample",
    "metering_rollupmark",
)


def collector(stage: Stage, stack: Stack, name: str = "collector") -> Role:
    return stage.worker("collector", name=name, environment=stage.environment(**stack.environment()))


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_collector_killed_at_any_statement_stores_every_batch_once(
    stage: Stage, stack: Stack, barrier: Barrier
) -> None:
    agent = EnrolledAgent()
    messages = []
    victim = collector(stage, stack).start()
    for number, table in enumerate(STATEMENTS):
        victim.await_ready()
        with barrier(table) as await_victim:
            # Resources and meters that no collector has seen: every statement is needed.
            messages.append(agent.message(some_samples(2, source=f"source-{number}")))
            stack.broker.send(messages[-1])
            await_victim()
            victim.kill()
        victim.start()
    wait_until(lambda: Batch.objects.count() == len(messages), what="every batch is in the store")
    wait_until(lambda: stack.broker.depth("collector") == 0, what="the queue is empty")
    assert_stored_once(messages)
    assert not Quarantine.objects.exists()


def test_collector_killed_between_commit_and_acknowledgement_stores_the_batch_once(
    stage: Stage, stack: Stack, barrier: Barrier
) -> None:
    batch = EnrolledAgent().message(some_samples(3))
    victim = collector(stage, stack).start().await_ready()
    with barrier("metering_rollupmark") as await_victim:
        stack.broker.send(batch)
        await_victim()
        # From here on nothing that the collector says reaches the broker.
        stack.broker.wire.freeze()
    wait_until(lambda: Batch.objects.exists(), what="the batch is committed")
    victim.kill()
    stack.broker.wire.cut()
    stack.broker.wire.thaw()
    stack.broker.wire.mend()
    collector(stage, stack).start()
    wait_until(lambda: AgentKey.objects.get().duplicate_count == 1, what="the second delivery is told as a duplicate")
    assert_stored_once([batch])


def test_batch_that_was_handed_to_a_collector_which_was_dead_already_is_stored(stage: Stage, stack: Stack) -> None:
    """The broker still has its connection when the message comes: kombu's own Redis transport loses it here."""
    batch = EnrolledAgent().message(some_samples(3))
    victim = collector(stage, stack).start().await_ready()
    victim.send(signal.SIGSTOP)
    stack.broker.send(batch)
    # Enough for the broker to hand it over; longer than a blocking read of the queue.
    time.sleep(1.5)
    victim.kill()
    collector(stage, stack).start()
    wait_until(lambda: Batch.objects.count() == 1, what="the batch is in the store")
    assert_stored_once([batch])


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_batch_that_two_collectors_have_at_the_same_time_is_stored_once(
    stage: Stage, stack: Stack, barrier: Barrier
) -> None:
    batch = EnrolledAgent().message(some_samples(3))
    for number in (1, 2):
        collector(stage, stack, f"collector-{number}").start().await_ready()
    with barrier("metering_batchbody") as await_victim:
        # A collector takes two messages at a time: the second is sent when the one that has the first stands still.
        for number in (1, 2):
            stack.broker.send(batch)
            await_victim(number)
    wait_until(lambda: AgentKey.objects.get().duplicate_count == 1, what="the second is told as a duplicate")
    assert_stored_once([batch])


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_collectors_killed_at_random_under_load_store_every_batch_once(stage: Stage, stack: Stack) -> None:
    agents = [EnrolledAgent(f"node-{number}") for number in range(4)]
    messages = [agent.message(some_samples(40, source=agent.name)) for _ in range(75) for agent in agents]
    collectors = [collector(stage, stack, f"collector-{number}").start().await_ready() for number in (1, 2)]
    randomness = random.Random(20261122)
    with ThreadPoolExecutor(1) as sender:
        sending = sender.submit(_send_slowly, stack, messages, seconds=5.0)
        kills = 0
        while not sending.done() or kills < 6:
            victim = collectors[kills % 2]
            victim.await_ready()
            time.sleep(randomness.random())
            # Mostly by a crash, now and then by an orderly stop.
            victim.end(randomness.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]))
            victim.start()
            kills += 1
        sending.result()
    wait_until(lambda: Batch.objects.count() == len(messages), seconds=60, what="every batch is in the store")
    wait_until(lambda: stack.broker.depth("collector") == 0, what="the queue is empty")
    assert_stored_once(messages)
    assert not Quarantine.objects.exists()


def _send_slowly(stack: Stack, messages: list[bytes], *, seconds: float) -> None:
    pause = threading.Event()
    for first in range(0, len(messages), 10):
        stack.broker.send(*messages[first : first + 10])
        pause.wait(seconds * 10 / len(messages))
