"""The Celery app: whose queues, when ticks come, and that everybody sends by it."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agents.polling import Source
from config.clock import Grid, polling_schedule
from config.queues import RefusedQueue, check_queues, queue_declarations

REPOSITORY = Path(__file__).resolve().parents[2]


def broker_seen_by(*command: str) -> str:
    """The broker URL that ``celery.current_app`` has in a process of its own."""
    environment = {
        **os.environ,
        "CELOMETER_BROKER_URL": "redis://broker.example:6379/3",
        "CELOMETER_SETTINGS": "server",
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    done = subprocess.run(
        [sys.executable, *command], cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip().splitlines()[-1]


LOOK = "from celery import current_app; print(current_app.conf.broker_url)"


def test_the_api_sends_tasks_by_this_app():
    assert broker_seen_by("-c", f"import config.wsgi; {LOOK}") == "redis://broker.example:6379/3"


def test_commands_send_tasks_by_this_app():
    assert broker_seen_by("manage.py", "shell", "-v0", "-c", LOOK) == "redis://broker.example:6379/3"


def test_no_queue_hears_another_ones_messages():
    exchanges = {queue.alias or queue.name: queue.exchange.name for queue in queue_declarations()}
    assert len(set(exchanges.values())) == len(exchanges)


@pytest.mark.parametrize(
    ("queues", "side", "complaint"),
    [
        ({"store"}, "agent", "belongs to the server side"),
        ({"compute"}, "server", "belongs to the agent side"),
        ({"celery"}, "server", "expected -Q with one of"),
    ],
)
def test_a_worker_refuses_queues_that_are_not_its_sides(queues, side, complaint):
    with pytest.raises(RefusedQueue, match=complaint):
        check_queues(queues, side=side)


def test_the_collectors_queue_is_consumed_alone():
    with pytest.raises(RefusedQueue, match="start another worker for the others"):
        check_queues({"store", "collector"}, side="server")
    check_queues({"collector"}, side="server")


class FixedGrid(Grid):
    at = datetime(2026, 1, 1, 0, 0, 7, tzinfo=UTC)

    def now(self):
        return self.at


def test_ticks_lie_on_the_grid_whenever_the_scheduler_started():
    grid = FixedGrid(60)
    assert grid.is_due(FixedGrid.at - timedelta(seconds=5)) == (False, 53.0)
    assert grid.is_due(FixedGrid.at - timedelta(seconds=8)) == (True, 53.0)


def test_a_tick_names_its_due_time_and_expires_before_the_next():
    (entry,) = polling_schedule([Source("compute", 300, ("*",))]).values()
    name, due = entry["args"]
    assert (name, entry["options"]["queue"], entry["options"]["expires"]) == ("compute", "compute", 300)
    assert due() % 300_000_000 == 0
    assert abs(datetime.now(UTC).timestamp() * 1e6 - due()) < 301e6
