"""How many notifications a second become samples and events in the store: RabbitMQ → listener → broker → transform → broker → collector.

One process of each role, as in production. All notifications wait on the bus before the clock starts: sending them is the services' work.
"""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from agents.keys import load_or_create
from agents.notifications.rules import read_rules
from agents.notifications.unpacking import unpack
from benchmarks.figures import Figure
from benchmarks.gates import expect
from benchmarks.mix import MIX, Kind, make_bodies
from config.env import REPOSITORY
from metering.messages import Letter
from metering.models import Agent, AgentKey, Event, Quarantine, Sample
from tests.support.notified import publish_bodies
from tests.support.notifier import Bus
from tests.support.roles import Role, Stage
from tests.support.stacks import behind_wire, rabbit_vhost

__all__ = ["measure_flow"]

_NODE = "bench-mq"
_BASELINE = "one task per notification"


class _Expected(NamedTuple):
    samples: int
    events: int


def measure_flow(*, notifications: int, singly: int) -> list[Figure]:
    """Notifications a second, in bundles and, as the baseline, ``singly``. Nothing where no RabbitMQ answers. Raises WrongAnswer."""
    try:
        with rabbit_vhost("bench") as url, behind_wire(Bus, url) as bus:
            alone = _flow(bus, singly, listener=("benchmarks.single_listener",))
            bundled = _flow(bus, notifications, listener=("tests.support.manage", "listen"))
    except pytest.skip.Exception:
        return []
    return [Figure("notifications, bus to committed", bundled, "1/s", alone, _BASELINE)]


def _flow(bus: Bus, count: int, *, listener: tuple[str, ...]) -> float:
    """Notifications a second."""
    before = _stored()
    with _roles(bus, listener) as roles:
        bodies = make_bodies(count)
        for role in roles:
            role.send(signal.SIGSTOP)
        for kind, own in bodies:
            publish_bodies(bus, kind.exchange, own, key=kind.key)
        expected = _expected(bodies)
        started = time.perf_counter()
        for role in roles:
            role.send(signal.SIGCONT)
        while _stored().events - before.events < expected.events and time.perf_counter() - started < 300:
            time.sleep(0.02)
        while _stored().samples - before.samples < expected.samples and time.perf_counter() - started < 300:
            time.sleep(0.02)
        elapsed = time.perf_counter() - started
    after = _stored()
    expect("samples of notifications", after.samples - before.samples, expected.samples)
    expect("events of notifications", after.events - before.events, expected.events)
    expect("refused notifications", Quarantine.objects.count(), 0)
    return sum(len(own) for _, own in bodies) / elapsed


@contextmanager
def _roles(bus: Bus, listener: tuple[str, ...]) -> Iterator[list[Role]]:
    """One process of each role, ready to work."""
    with tempfile.TemporaryDirectory(prefix="celometer-bench-flow-", ignore_cleanup_errors=True) as folder:
        stage = Stage(Path(folder))
        key = load_or_create(Path(folder) / "home" / "agent" / "key.pem")
        agent, _ = Agent.objects.get_or_create(name=_NODE)
        AgentKey.objects.create(agent=agent, key_id=key.public.id, public_key=key.public.raw)
        exchanges = sorted({kind.exchange for kind in MIX})
        bus.will_make(queues=["celometer"], exchanges=exchanges)
        url = f"{bus.direct_url}?exchanges={','.join(exchanges)}"
        names = ("CELOMETER_BROKER_URL", "CELOMETER_DATABASE_URL")
        environment = stage.environment(
            **{name: os.environ[name] for name in names}, CELOMETER_NODE=_NODE, CELOMETER_NOTIFICATION_URLS=url
        )
        try:
            roles = [stage.worker(queue, environment=environment).start() for queue in ("transform", "collector")]
            listening = stage.role("listener", *listener, environment={**environment, "CELOMETER_SETTINGS": "agent"})
            listening.start().await_output("listening on")
            for role in roles:
                role.await_ready()
            yield [listening, *roles]
        except AssertionError:
            for title, end in stage.report():
                print(f"--- {title}\n{end}")
            raise
        finally:
            stage.end()
            bus.lose_everything()


def _expected(bodies: list[tuple[Kind, list[bytes]]]) -> _Expected:
    """What the same definitions make of them in this process."""
    rules = read_rules(None, REPOSITORY / "config" / "defaults")
    samples = events = 0
    for _, own in bodies:
        for body in own:
            notification = unpack(Letter(body))
            samples += len(rules.meters.samples(notification, report=_fail))
            events += rules.events.event(notification, report=_fail) is not None
    return _Expected(samples, events)


def _fail(where: str, what: str) -> None:
    raise AssertionError(f"a notification of the mix is not understood: {where}: {what}")


def _stored() -> _Expected:
    return _Expected(Sample.objects.count(), Event.objects.count())
