"""While the store is away collectors wait; when it is back they go on; nothing is lost."""

from __future__ import annotations

import pytest
from django.db import connection

from config.launch.postgres import EmbeddedPostgres
from metering.models import Batch, Quarantine
from tests.faults.conftest import Barrier, Door
from tests.support.agents import EnrolledAgent, some_samples
from tests.support.proof import assert_stored_once
from tests.support.roles import Role, Stage, wait_until
from tests.support.stacks import TRANSPORTS, Broker, Stack, database_at


def collector(stage: Stage, stack: Stack) -> Role:
    return stage.worker("collector", environment=stage.environment(**stack.environment()))


def test_collector_waits_for_the_store_and_loses_nothing(stage: Stage, stack: Stack, door: Door) -> None:
    agent = EnrolledAgent()
    messages = [agent.message(some_samples(2)) for _ in range(12)]
    worker = collector(stage, stack).start().await_ready()
    stack.broker.send(*messages[:4])
    wait_until(lambda: Batch.objects.count() == 4, what="the first batches are stored")

    door.shut()
    stack.broker.send(*messages[4:8])
    stack.broker.send(b"no batch at all")
    worker.await_output("consuming nothing until it answers")
    stack.broker.send(*messages[8:])
    assert Batch.objects.count() == 4
    door.open()

    wait_until(lambda: Batch.objects.count() == 12, what="every batch is stored")
    wait_until(lambda: Quarantine.objects.count() == 1, what="what is no batch is in quarantine")
    assert_stored_once(messages)
    assert worker.output().count("goes back to the broker") <= 3, "messages went to and fro"


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_connection_that_breaks_inside_the_transaction_costs_nothing(
    stage: Stage, stack: Stack, door: Door, barrier: Barrier
) -> None:
    agent = EnrolledAgent()
    messages = []
    worker = collector(stage, stack).start().await_ready()
    for table in ("metering_meter", "metering_batchbody", "metering_sample", "metering_rollupmark"):
        with barrier(table) as await_victim:
            messages.append(agent.message(some_samples(2, source=table)))
            stack.broker.send(messages[-1])
            await_victim()
            # Ends the collector's session inside its transaction, and the one that holds the lock.
            door.shut()
            door.open()
    wait_until(lambda: Batch.objects.count() == len(messages), what="every batch is stored")
    assert_stored_once(messages)
    assert not Quarantine.objects.exists()
    assert worker.is_alive()


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_postgresql_stopped_and_started_again(
    stage: Stage, broker: Broker, transactional_db: None, own_postgres: EmbeddedPostgres
) -> None:
    with database_at(own_postgres.start()) as url:
        stack = Stack(broker, url)
        agent = EnrolledAgent()
        messages = [agent.message(some_samples(2)) for _ in range(6)]
        worker = collector(stage, stack).start().await_ready()
        stack.broker.send(*messages[:3])
        wait_until(lambda: Batch.objects.count() == 3, what="the first batches are stored")
        connection.close()
        own_postgres.stop()
        stack.broker.send(*messages[3:])
        worker.await_output("consuming nothing until it answers")
        worker.end()
        # One that starts meanwhile waits as well.
        late = collector(stage, stack).start()
        late.await_output("consuming nothing until it answers")
        own_postgres.start()
        wait_until(lambda: Batch.objects.count() == 6, what="every batch is stored")
        assert_stored_once(messages)


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_collector_goes_on_after_its_broker_restarted(stage: Stage, stack: Stack) -> None:
    agent = EnrolledAgent()
    messages = [agent.message(some_samples(2)) for _ in range(4)]
    worker = collector(stage, stack).start().await_ready()
    for number, message in enumerate(messages, 1):
        stack.broker.send(message)
        wait_until(lambda: Batch.objects.count() == number, what=f"batch {number} is stored")  # noqa: B023
        stack.broker.wire.cut()
        stack.broker.wire.mend()
    assert_stored_once(messages)
    assert worker.is_alive()
