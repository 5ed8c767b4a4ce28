"""The whole way with real processes: scheduler → node → outbox → broker → collector → store, on each stack that answers."""

from __future__ import annotations

import random
import sqlite3
import time
from datetime import UTC, datetime

import pytest
from django.db import connection

from agents.keys import load_or_create
from config.celery import app
from metering.messages import parse_batch
from metering.models import Agent, AgentKey, Batch, ParkedBatch, Sample
from tests.support.agents import EnrolledAgent, some_samples
from tests.support.libvirt_file import write_crowd
from tests.support.proof import assert_stored_once
from tests.support.roles import Role, Stage, wait_until
from tests.support.stacks import TRANSPORTS, Stack

INTERVAL_SECONDS = 1


class Node:
    """A compute node of its own: home, key, domains."""

    def __init__(self, stage: Stage, stack: Stack, name: str = "node-1", *, domains: int = 4) -> None:
        self.name = name
        self.stage = stage
        self.home = stage.directory / name
        self.outbox = self.home / "agent" / "outbox.sqlite3"
        key = load_or_create(self.home / "agent" / "key.pem")
        agent = Agent.objects.create(name=name)
        AgentKey.objects.create(agent=agent, key_id=key.public.id, public_key=key.public.raw)
        self.environment = stage.environment(
            CELOMETER_HOME=str(self.home),
            CELOMETER_NODE=name,
            CELOMETER_BROKER_URL=stack.broker.url,
            CELOMETER_POLL_INTERVAL=str(INTERVAL_SECONDS),
            CELOMETER_LIBVIRT_URI=write_crowd(stage.directory / f"{name}.xml", domains),
            CELOMETER_SETTINGS="agent",
        )

    def start(self) -> Role:
        return self.stage.worker("compute", name=self.name, environment=self.environment).start()

    def batches(self, where: str = "1") -> dict[str, bytes]:
        """What its outbox holds: message by batch id."""
        if not self.outbox.exists():
            return {}
        with sqlite3.connect(f"file:{self.outbox}?mode=ro", uri=True, timeout=10) as db:
            if not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'batch'").fetchone():
                return {}  # its file is being made
            return dict(db.execute(f"SELECT id, message FROM batch WHERE {where}").fetchall())

    def unsent(self) -> int:
        return len(self.batches("sent_at IS NULL"))


def server_roles(stage: Stage, stack: Stack, *, store: bool = False) -> tuple[Role, ...]:
    environment = stage.environment(**stack.environment())
    return tuple(
        stage.worker(queue, environment=environment).start() for queue in ("collector", *(["store"] if store else []))
    )


def polls_by_tick(worker: Role) -> int:
    # The first poll is at its start, the others at a tick unless it says why not.
    return worker.output().count("polled compute") - worker.output().count("no tick for compute") - 1


def test_two_nodes_give_two_sets_of_measurements_for_each_tick_of_the_scheduler(
    stage: Stage, every_stack: Stack
) -> None:
    nodes = [Node(stage, every_stack, name, domains=5) for name in ("node-1", "node-2")]
    workers = [node.start().await_ready() for node in nodes]
    server_roles(stage, every_stack)
    stage.beat(environment=nodes[0].environment).start()

    def dues() -> dict[str, set[datetime]]:
        rows = Batch.objects.values_list("key__agent__name", "due_at")
        return {node.name: {due for name, due in rows if name == node.name} for node in nodes}

    wait_until(lambda: len(dues()["node-1"] & dues()["node-2"]) >= 3, seconds=60, what="three dues of both nodes")
    for worker in workers:
        wait_until(lambda: polls_by_tick(worker) >= 2, what=f"{worker.name} polls at the scheduler's ticks")  # noqa: B023


@pytest.fixture
def no_partition_of_2013() -> None:
    """The week of the old sample has no partition, whatever tests ran before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE 'metering_%%_2013____' AND relkind IN ('r', 'p')"
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")


def test_a_sample_of_2013_is_stored_after_its_partition_was_made(
    stage: Stage, every_stack: Stack, no_partition_of_2013: None
) -> None:
    old = datetime(2013, 6, 5, 12, tzinfo=UTC)
    batch = EnrolledAgent().seal(some_samples(3, at=int(old.timestamp() * 1_000_000)))
    _, housekeeping = server_roles(stage, every_stack, store=True)
    every_stack.broker.send(batch)

    wait_until(lambda: Sample.objects.count() == 3, what="the old samples are in the store")
    assert_stored_once([batch.to_bytes()])
    assert f"admitted parked batch {batch.header.id}" in housekeeping.output(), "it did not wait: nothing was tested"
    wait_until(lambda: not ParkedBatch.objects.exists(), what="nothing is parked any more")


def test_a_node_goes_on_polling_while_the_broker_is_away(stage: Stage, stack: Stack) -> None:
    node = Node(stage, stack)
    server_roles(stage, stack)
    worker = node.start().await_ready()
    stage.beat(environment=node.environment).start()
    wait_until(lambda: Batch.objects.count() >= 2, seconds=60, what="two batches in the store")

    stack.broker.wire.cut()
    before = len(node.batches())
    wait_until(lambda: node.unsent() >= 3, what="three batches wait in the outbox")
    assert len(node.batches()) >= before + 2
    stack.broker.wire.mend()

    wait_until(lambda: node.unsent() == 0, seconds=90, what="the outbox is sent")
    ticks = polls_by_tick(worker)
    wait_until(lambda: polls_by_tick(worker) >= ticks + 2, what="the scheduler's ticks are back")
    worker.end()
    messages = node.batches()
    wait_until(lambda: Batch.objects.count() >= len(messages), seconds=60, what="every batch is in the store")
    assert_stored_once(messages.values())
    assert "polling by the node's own timer" in worker.output()


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_a_node_that_is_killed_sends_its_outbox_after_the_next_start(stage: Stage, stack: Stack) -> None:
    node = Node(stage, stack)
    server_roles(stage, stack)
    randomness = random.Random(20261122)
    worker = node.start()
    for _ in range(4):
        made = len(node.batches())
        wait_until(lambda: len(node.batches()) > made, what="the node measures")  # noqa: B023
        time.sleep(randomness.random() / 5)
        worker.kill()
        worker.start()
    wait_until(lambda: len(node.batches()) > made and node.unsent() == 0, what="all was sent")
    worker.end()
    messages = node.batches()
    wait_until(lambda: Batch.objects.count() == len(messages), what="every batch is in the store")
    assert_stored_once(messages.values())
    chain = list(Batch.objects.order_by("sequence"))
    assert [batch.sequence for batch in chain] == list(range(1, len(chain) + 1))
    assert [bytes(b.previous_digest) for b in chain[1:]] == [bytes(b.header_digest) for b in chain[:-1]]


def test_resend_brings_back_what_a_broker_lost(stage: Stage, stack: Stack) -> None:
    node = Node(stage, stack)
    worker = node.start().await_ready()
    wait_until(lambda: len(node.batches("sent_at IS NOT NULL")) >= 3, what="three batches were sent")
    stack.broker.lose_everything()
    wait_until(lambda: stack.broker.depth("collector") >= 2, what="what is measured after the loss is on the broker")
    worker.end()
    server_roles(stage, stack)
    wait_until(lambda: Batch.objects.count() >= 2, what="they reach the store without help")
    wait_until(lambda: stack.broker.depth("collector") == 0, what="the queue is empty")
    messages = node.batches()
    assert 0 < Batch.objects.count() < len(messages), "nothing was lost: nothing was tested"

    assert "waiting: 0" in stage.manage("outbox", "resend", environment=node.environment)
    wait_until(lambda: Batch.objects.count() == len(messages), what="every batch is in the store")
    stage.manage("outbox", "resend", environment=node.environment)
    wait_until(
        lambda: AgentKey.objects.get().duplicate_count >= len(messages), what="the second resend changes nothing"
    )
    assert_stored_once(messages.values())


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_ticks_that_are_not_due_neither_silence_nor_rush_a_node(stage: Stage, stack: Stack) -> None:
    node = Node(stage, stack)
    worker = node.start().await_ready()
    with stack.broker.connect() as client:
        for due in (2**62, 10**30, "soon", None, -1, True, 3):
            app.send_task("agents.poll", args=("compute", due), queue="compute", retry=False, connection=client)
        app.send_task("agents.poll", args=("no such source", 0), queue="compute", retry=False, connection=client)
    worker.await_output("no such source")
    seen = len(node.batches())
    wait_until(lambda: len(node.batches()) >= seen + 2, what="the node polls on")
    dues = [parse_batch(message).header.due for message in node.batches().values()]
    assert len(dues) == len(set(dues))
    assert all(due % (INTERVAL_SECONDS * 1_000_000) == 0 for due in dues)
