"""Every transition is told at least once, under one id, in order, whoever dies: real workers, a real broker, a real receiver."""

from __future__ import annotations

import pytest

from alarms.deliveries.tasks import DELIVER_TASK
from alarms.models import Attempt, Delivery
from config.celery import app
from tests.agents.pipeline.publishers.web_server import WebServer
from tests.support.alarms import make_alarm, transit
from tests.support.roles import Role, Stage, wait_until
from tests.support.stacks import TRANSPORTS, Stack


class Telling:
    """The roles that tell, and the tick that a clock would give them."""

    def __init__(self, stage: Stage, stack: Stack) -> None:
        self.stack = stack
        environment = stage.environment(**stack.environment(CELOMETER_WEBHOOK_ALLOW="127.0.0.0/8"))
        self.alarms = stage.worker("alarms", environment=environment)
        self.reports = stage.worker("reports", environment=environment)
        self.notifier = stage.worker("notifier", environment=environment)
        self.roles: list[Role] = [self.alarms, self.reports, self.notifier]

    def start(self) -> Telling:
        for role in self.roles:
            role.start()
        for role in self.roles:
            role.await_ready()
        return self

    def tick(self) -> None:
        with self.stack.broker.connect() as client:
            app.send_task(DELIVER_TASK, queue="alarms", retry=False, connection=client)

    def await_ended(self, count: int, *, seconds: float = 30) -> None:
        def all_ended() -> bool:
            self.tick()
            return Delivery.objects.exclude(ended_at=None).count() == count

        wait_until(all_ended, seconds=seconds, step=0.3, what=f"{count} deliveries have ended")


@pytest.fixture
def telling(stage: Stage, stack: Stack) -> Telling:
    return Telling(stage, stack)


@pytest.fixture
def receiver():
    server = WebServer()
    yield server
    server.close()


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_a_transition_is_told_once(telling: Telling, receiver: WebServer) -> None:
    telling.start()
    (delivery,) = transit(make_alarm(f"http://127.0.0.1:{receiver.port}/hook?a=1"))
    telling.await_ended(1)
    (posted,) = receiver.posted
    assert posted.path == "/hook?a=1"
    assert posted.body.decode() == delivery.body
    assert posted.headers["webhook-id"] == f"msg_{delivery.id.hex}"
    delivery.refresh_from_db()
    assert delivery.state == "delivered"
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.outcome) == (200, "answered 200 OK")
