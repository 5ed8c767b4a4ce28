"""What the transform role cannot do or keep now, the broker has back: nothing is acknowledged that lies nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import kombu
import pytest
from celery.exceptions import Reject

from agents import tasks
from config.worker import Consumer

from .test_transform import Worker, volume


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """The role of this process; only its transform is made use of."""
    worker = Worker(tmp_path)
    tasks._transforms.append(worker)
    yield worker
    tasks._transforms.clear()


def fill(worker: Worker) -> None:
    worker.convert(volume())
    worker.outbox._max_bytes = 1


def test_a_task_that_fails_while_nothing_can_be_kept_goes_back(worker: Worker) -> None:
    fill(worker)

    def fail(role: object) -> None:
        raise RuntimeError("a fault of ours")

    with pytest.raises(Reject) as raised:
        tasks._do_or_give_back(b"a bundle", fail)
    assert raised.value.requeue


def test_a_task_that_comes_while_the_role_stops_goes_back() -> None:
    with pytest.raises(Reject) as raised:
        tasks.convert(b"a bundle")
    assert raised.value.requeue


@pytest.mark.parametrize("room", [True, False])
def test_a_foreign_message_is_acknowledged_once_it_is_kept(worker: Worker, room: bool) -> None:
    if not room:
        fill(worker)
    with kombu.Connection("memory://foreign") as connection, connection.SimpleQueue("transform") as queue:
        queue.clear()
        queue.put(b"hello", content_type="text/plain")
        admit = Consumer._bytes_only(None, lambda message: None)  # type: ignore[arg-type]
        admit(queue.get())
        assert queue.qsize() == (0 if room else 1)
    assert [refusal.reason for refusal in worker.made().refusals] == (["unknown_task"] if room else [])
