"""Nothing that reaches the collector's queue is lost: it ends in the store or in quarantine, and the same worker goes on."""

from __future__ import annotations

import pytest

from metering.messages import parse_batch
from metering.models import Batch, Quarantine
from tests.faults.messages import STORED, Case, cases_for_any_broker, cases_for_rabbitmq, cases_for_redis
from tests.support.agents import EnrolledAgent, some_samples
from tests.support.roles import Stage, wait_until
from tests.support.stacks import TRANSPORTS, Stack


def what_became_of(case: Case) -> str:
    """STORED, the reasons of its quarantine, or nothing yet."""
    if case.expected == STORED:
        return STORED if Batch.objects.filter(pk=parse_batch(case.kept).header.id).exists() else "nothing"
    reasons = set(Quarantine.objects.filter(message=case.kept).values_list("reason", flat=True))
    # Several cases may consist of the same bytes: none at all.
    return case.expected if case.expected in reasons else ", ".join(sorted(reasons)) or "nothing"


def test_what_celery_would_lose_is_stored_or_quarantined_and_the_worker_lives_on(stage: Stage, stack: Stack) -> None:
    agent = EnrolledAgent()
    special = cases_for_redis if stack.broker.kind == "redis" else cases_for_rabbitmq
    cases = [*cases_for_any_broker(agent), *special(agent)]
    collector = stage.worker("collector", environment=stage.environment(**stack.environment())).start().await_ready()
    with stack.broker.connect() as client:
        for case in cases:
            case.send(client)
    last = agent.seal(some_samples(2))
    stack.broker.send(last)

    wait_until(
        lambda: Batch.objects.filter(pk=last.header.id).exists() or not collector.is_alive(),
        seconds=40,
        what="the last batch is stored",
    )
    assert collector.is_alive()
    wait_until(lambda: stack.broker.depth("collector") == 0, what="the queue is empty")
    became = {case.name: what_became_of(case) for case in cases}
    assert became == {case.name: case.expected for case in cases}
    assert collector.is_alive()
    assert "Traceback" not in collector.output()


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_a_flood_of_one_bad_message_is_one_row(stage: Stage, stack: Stack) -> None:
    stage.worker("collector", environment=stage.environment(**stack.environment())).start().await_ready()
    stack.broker.send(*[b"no batch"] * 200)
    wait_until(lambda: Quarantine.objects.filter(received_count=200).exists(), what="all were counted")
    assert Quarantine.objects.count() == 1
