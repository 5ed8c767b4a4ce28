"""Every transition is told at least once, under one id, in order, whoever dies: real workers, a real broker, real receivers."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections import defaultdict
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from alarms.deliveries import lease_due
from alarms.deliveries.tasks import DELIVER_TASK, deliver
from alarms.models import Attempt, Delivery
from alarms.notifiers.contract import NOTIFY_TASK, REPORT_TASK, Outcome
from config.celery import app
from tests.agents.pipeline.publishers.web_server import WebServer
from tests.faults.conftest import Door
from tests.support.alarms import make_alarm, transit
from tests.support.roles import Stage, wait_until
from tests.support.stacks import TRANSPORTS, Stack

# The slow ones on both transports only where the transport matters.
_EMBEDDED = pytest.mark.parametrize("broker", ["embedded"], indirect=True)
_BOTH = pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)


class Telling:
    """The roles that tell, and the tick that a clock would give them."""

    def __init__(self, stage: Stage, stack: Stack) -> None:
        self.stack = stack
        environment = stage.environment(**stack.environment(CELOMETER_WEBHOOK_ALLOW="127.0.0.0/8"))
        self.alarms = stage.worker("alarms", environment=environment)
        self.reports = stage.worker("reports", environment=environment)
        self.notifier = stage.worker("notifier", environment=environment)
        self.roles = [self.alarms, self.reports, self.notifier]

    def start(self) -> Telling:
        for role in self.roles:
            role.start()
        for role in self.roles:
            role.await_ready()
        return self

    def send(self, task: str, *arguments: object, queue: str) -> None:
        with self.stack.broker.connect() as client:
            app.send_task(task, args=arguments, queue=queue, retry=False, connection=client)

    def tick(self) -> None:
        self.send(DELIVER_TASK, queue="alarms")

    def let_time_pass(self) -> None:
        """Whatever waits for a time has waited; leases that are a few seconds old are over."""
        now = timezone.now()
        Delivery.objects.filter(ended_at=None, leased_until=None).update(due_at=now)
        old = Attempt.objects.filter(begun_at__lt=now - timedelta(seconds=5), ended_at=None).values("delivery_id")
        Delivery.objects.filter(ended_at=None, id__in=old).exclude(
            attempts__begun_at__gte=now - timedelta(seconds=5)
        ).update(leased_until=now)

    def await_ended(self, count: int, *, seconds: float = 30, in_haste: bool = False) -> None:
        def all_ended() -> bool:
            if in_haste:
                self.let_time_pass()
            self.tick()
            return Delivery.objects.exclude(ended_at=None).count() == count

        wait_until(all_ended, seconds=seconds, step=0.3, what=f"{count} deliveries have ended")


@pytest.fixture
def telling(stage: Stage, stack: Stack) -> Telling:
    return Telling(stage, stack)


@pytest.fixture
def serve():
    """Start receivers; those that hang are let go afterwards."""
    servers = []

    def start(*answers, **options) -> WebServer:
        servers.append(WebServer(*answers, **options))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


class Hanging:
    """An answer that does not come before it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Semaphore(0)
        self.over = threading.Event()

    def __call__(self, handler) -> None:
        self.asked.release()
        self.over.wait(60)
        handler.close_connection = True


@pytest.fixture
def hanging():
    hanging = Hanging()
    yield hanging
    hanging.over.set()


def hook(server: WebServer, path: str = "/hook", host: str = "127.0.0.1") -> str:
    return f"http://{host}:{server.port}{path}"


def ids(server: WebServer) -> list[str]:
    return [posted.headers["webhook-id"] for posted in server.posted]


@_BOTH
def test_a_transition_is_told_once(telling: Telling, serve) -> None:
    receiver = serve()
    telling.start()
    (delivery,) = transit(make_alarm(hook(receiver, "/hook?a=1")))
    telling.await_ended(1)
    (posted,) = receiver.posted
    assert posted.path == "/hook?a=1"
    assert posted.body.decode() == delivery.body
    assert posted.headers["webhook-id"] == f"msg_{delivery.id.hex}"
    assert posted.headers["x-openstack-request-id"] == f"req-{delivery.id}"
    delivery.refresh_from_db()
    assert delivery.state == "delivered"
    attempt = Attempt.objects.get()
    assert (attempt.status, attempt.outcome) == (200, "answered 200 OK")


@_BOTH
def test_a_notifier_killed_in_an_attempt_is_made_up_for(telling: Telling, serve, hanging: Hanging) -> None:
    receiver = serve(hanging)
    telling.start()
    (delivery,) = transit(make_alarm(hook(receiver)))
    telling.tick()
    assert hanging.asked.acquire(timeout=30)
    telling.notifier.kill()
    telling.notifier.start().await_ready()
    telling.await_ended(1, in_haste=True)
    assert set(ids(receiver)) == {f"msg_{delivery.id.hex}"}
    assert list(Attempt.objects.values_list("number", "status")) == [(1, None), (2, 200)]


@_EMBEDDED
def test_a_server_killed_after_the_lease_has_lost_nothing(telling: Telling, serve) -> None:
    receiver = serve()
    transit(make_alarm(hook(receiver)))
    # All that is left of it: a lease, and an attempt that nobody was given.
    assert len(lease_due(timezone.now())) == 1
    Attempt.objects.update(begun_at=timezone.now() - timedelta(seconds=60))
    telling.start()
    telling.await_ended(1, in_haste=True)
    assert len(receiver.posted) == 1


@_EMBEDDED
def test_reports_wait_for_who_takes_them(telling: Telling, serve) -> None:
    receiver = serve()
    telling.start()
    telling.reports.kill()
    transit(make_alarm(hook(receiver)))
    telling.tick()
    wait_until(lambda: telling.stack.broker.depth("reports") == 1, what="a report waits")
    assert Delivery.objects.get().state == "leased"
    telling.reports.start()
    wait_until(lambda: Delivery.objects.get().state == "delivered", what="the report is taken")
    assert len(receiver.posted) == 1


@_EMBEDDED
def test_a_report_waits_while_the_store_is_away(telling: Telling, serve, hanging: Hanging, door: Door) -> None:
    receiver = serve(lambda handler: hanging(handler) or handler.send_response(200) or handler.end_headers())
    telling.start()
    transit(make_alarm(hook(receiver)))
    telling.tick()
    assert hanging.asked.acquire(timeout=30)
    door.shut()
    hanging.over.set()
    telling.reports.await_output("a report waits for the store")
    telling.tick()
    telling.alarms.await_output("deliveries wait for the next tick")
    assert Delivery.objects.get().state == "leased"
    door.open()
    wait_until(lambda: Delivery.objects.get().state == "delivered", what="the report is taken")
    assert Attempt.objects.count() == 1


@_EMBEDDED
def test_a_lost_report_tells_again_under_the_same_id(telling: Telling, serve) -> None:
    receiver = serve()
    telling.start()
    telling.reports.kill()
    transit(make_alarm(hook(receiver)))
    telling.tick()
    wait_until(lambda: telling.stack.broker.depth("reports") == 1, what="a report waits")
    telling.stack.broker.lose_everything()
    telling.reports.start().await_ready()
    for role in (telling.alarms, telling.notifier):
        role.kill()
        role.start().await_ready()
    time.sleep(5)
    telling.await_ended(1, in_haste=True)
    assert len(receiver.posted) == 2
    assert len(set(ids(receiver))) == 1


@_EMBEDDED
def test_an_attempt_past_its_lease_is_not_made(telling: Telling, serve) -> None:
    receiver = serve()
    telling.start()
    with telling.stack.broker.connect() as client:
        for number, seconds in enumerate((-1, 60)):
            arguments = (str(uuid4()), 1, "x", hook(receiver, f"/{number}"), "{}", {})
            expires_at = timezone.now() + timedelta(seconds=seconds)
            app.send_task(NOTIFY_TASK, args=arguments, queue="notifier", expires=expires_at, connection=client)
    wait_until(lambda: receiver.posted, what="the one that is in time is made")
    assert [posted.path for posted in receiver.posted] == ["/1"]


@_EMBEDDED
def test_an_hour_of_errors_is_survived(telling: Telling, serve) -> None:
    receiver = serve(*[500] * 6, (429, {"retry-after": "1800"}), (503, {"retry-after": "soon"}))
    telling.start()
    (delivery,) = transit(make_alarm(hook(receiver)))
    telling.await_ended(1, in_haste=True, seconds=60)
    assert len(receiver.posted) == 9
    assert set(ids(receiver)) == {f"msg_{delivery.id.hex}"}
    assert {posted.body.decode() for posted in receiver.posted} == {delivery.body}
    assert list(Attempt.objects.values_list("status", flat=True)) == [*[500] * 6, 429, 503, 200]


@_EMBEDDED
def test_a_receiver_that_is_gone_is_told_nothing_more(telling: Telling, serve) -> None:
    receiver, inside = serve(410), serve()
    redirecting = serve((307, {"location": hook(inside)}))
    telling.start()
    alarm = make_alarm(hook(receiver), hook(redirecting))
    transit(alarm)
    transit(alarm)
    telling.await_ended(4, in_haste=True)
    assert (len(receiver.posted), len(inside.posted)) == (1, 0)
    assert sorted(Delivery.objects.filter(url=hook(receiver)).values_list("state", flat=True)) == ["failed"] * 2


@_EMBEDDED
def test_hanging_receivers_hold_up_nobody_else(telling: Telling, serve, hanging: Hanging) -> None:
    slow = serve(*[hanging] * 40, host="0.0.0.0")
    fast = serve()
    telling.start()
    for number in range(40):
        project = f"slow-{number % 2}"
        transit(make_alarm(hook(slow, host=f"127.0.0.{number + 2}"), project_id=project))
    telling.tick()
    for _ in range(32):
        assert hanging.asked.acquire(timeout=30), "as many as two projects may have hang"
    for _ in range(20):
        transit(make_alarm(hook(fast), project_id="meadow"))
    wait_until(lambda: telling.tick() or len(fast.posted) == 20, step=0.2, what="the others are told")
    assert not hanging.asked.acquire(timeout=0.1), "no place was given to one more"
    assert not Attempt.objects.exclude(ended_at=None).exclude(status=200).exists(), "meanwhile all of them still hang"


@_BOTH
def test_without_a_notifier_attempts_do_not_pile_up(stack: Stack, settings) -> None:
    settings.CELOMETER_BROKER_URL = stack.broker.url
    for number in range(200):
        transit(make_alarm(f"https://{number}.example/", project_id=f"project-{number}"))
    depths = []
    for _ in range(6):
        deliver()
        depths.append(stack.broker.depth("notifier"))
        Delivery.objects.update(leased_until=timezone.now())
    assert depths == [200, 400, 600, 600, 600, 600]


@_BOTH
def test_while_the_broker_is_away_nothing_is_leased_and_nothing_is_lost(telling: Telling, serve, settings) -> None:
    receiver = serve()
    telling.start()
    settings.CELOMETER_BROKER_URL = telling.stack.broker.url
    telling.stack.broker.wire.cut()
    transit(make_alarm(hook(receiver)))
    deliver()
    assert Delivery.objects.get().state == "waiting"
    assert not Attempt.objects.exists()
    telling.stack.broker.wire.mend()
    telling.await_ended(1)
    assert len(receiver.posted) == 1


@_BOTH
def test_a_broker_that_neither_answers_nor_refuses_is_not_waited_for(telling: Telling, serve, settings) -> None:
    settings.CELOMETER_BROKER_URL = telling.stack.broker.url
    transit(make_alarm(hook(serve())))
    telling.stack.broker.wire.freeze()
    begun = time.monotonic()
    deliver()
    # Without a bound of its own it would be the half minute that workers wait for their broker.
    assert time.monotonic() - begun < 20
    assert Delivery.objects.get().state == "waiting"
    telling.stack.broker.wire.thaw()


@_EMBEDDED
def test_a_notifier_that_is_asked_to_stop_ends_what_it_began(telling: Telling, serve, hanging: Hanging) -> None:
    receiver = serve(hanging)
    telling.start()
    transit(make_alarm(hook(receiver)))
    telling.tick()
    assert hanging.asked.acquire(timeout=30)
    telling.notifier.send(signal.SIGTERM)
    hanging.over.set()
    assert telling.notifier.await_end() == 0
    wait_until(lambda: Attempt.objects.exclude(ended_at=None).count() == 1, what="it is reported")
    assert Delivery.objects.get().state == "waiting"


@_BOTH
def test_whoever_is_killed_everything_is_told_in_order(telling: Telling, serve) -> None:
    receiver = serve()
    alarms = [make_alarm(hook(receiver, f"/{number}"), project_id=f"project-{number % 7}") for number in range(20)]
    chosen, made, kills = random.Random(20), 0, 0
    telling.start()
    for turn in range(15):
        for alarm in alarms:
            made += len(transit(alarm, reason=str(turn)))
        telling.tick()
        time.sleep(chosen.uniform(0.1, 0.6))
        role = telling.roles[turn % 3]
        role.kill()
        kills += 1
        role.start()
        telling.let_time_pass()
        telling.tick()
    telling.await_ended(made, in_haste=True, seconds=120)
    assert kills == 15
    assert not Delivery.objects.exclude(state="delivered").exists()
    by_id, order = {}, defaultdict(list)
    for posted in receiver.posted:
        body = json.loads(posted.body)
        if by_id.setdefault(posted.headers["webhook-id"], posted.body) == posted.body:
            order[body["alarm_id"]].append(int(body["reason"]))
    assert set(by_id) == {f"msg_{delivery.id.hex}" for delivery in Delivery.objects.all()}, "all of them, under one id"
    for told in order.values():
        assert told == sorted(told), "each in its turn, a repetition right after it"
        assert set(told) == set(range(15))


@_BOTH
def test_strangers_on_the_queues_change_nothing(telling: Telling, serve, hanging: Hanging) -> None:
    receiver = serve(hanging)
    telling.start()
    (delivery,) = transit(make_alarm(hook(receiver)))
    telling.tick()
    assert hanging.asked.acquire(timeout=30)
    delivered = Outcome("delivered", "forged", 200, None, 1)._asdict()
    for task, arguments in {
        "metering.housekeep": (),
        DELIVER_TASK: (),
        "metering.nonsense": ("x",),
        NOTIFY_TASK: (1, 2, 3),
    }.items():
        telling.send(task, *arguments, queue="reports")
    telling.send(REPORT_TASK, str(delivery.id), 1, "a guess", delivered, queue="reports")
    telling.send(REPORT_TASK, {"a": 1}, [], None, 7, queue="reports")
    telling.send(REPORT_TASK, queue="reports")
    telling.stack.broker.send_task(REPORT_TASK, b"\xff\x00 no JSON", queue="reports")
    telling.send(NOTIFY_TASK, "x", "y", queue="notifier")
    telling.send(NOTIFY_TASK, 1, "y", None, [], {}, {"a": []}, queue="notifier")
    telling.send("agents.poll", "x", 1, queue="notifier")
    telling.stack.broker.send_task(NOTIFY_TASK, b"\xff\x00 no JSON", queue="notifier")
    telling.reports.await_output("a report on an attempt that was never made")
    wait_until(
        lambda: telling.reports.output().count("dropped a foreign message") >= 5, what="what is no report is dropped"
    )
    delivery.refresh_from_db()
    assert delivery.state == "leased"
    hanging.over.set()
    telling.await_ended(1, in_haste=True)
    assert all(role.is_alive() for role in telling.roles)
