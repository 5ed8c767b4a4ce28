"""A collector that runs for weeks needs no more memory than one that runs for a minute (`python -m benchmarks.soak` is the long form)."""

from __future__ import annotations

import psutil
import pytest

from metering.models import Batch
from tests.support.agents import EnrolledAgent, some_samples
from tests.support.roles import Stage, wait_until
from tests.support.stacks import TRANSPORTS, Stack

_ROUND = 400
_MOST_GROWTH_BYTES = 4 * 1024 * 1024


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_collector_s_memory_stays_flat(stage: Stage, stack: Stack) -> None:
    agent = EnrolledAgent()
    worker = stage.worker("collector", environment=stage.environment(**stack.environment())).start().await_ready()
    process = psutil.Process(worker.pid)
    after_round = []
    for number in range(1, 4):
        stack.broker.send(*(agent.message(some_samples(100)) for _ in range(_ROUND)))
        wait_until(lambda: Batch.objects.count() == number * _ROUND, seconds=60, what="a round is stored")  # noqa: B023
        after_round.append(process.memory_info().rss)
    # An opened batch of a hundred samples takes some 40 kB: were they kept, it would be 80 MB by now.
    assert after_round[2] - after_round[0] < _MOST_GROWTH_BYTES, after_round
