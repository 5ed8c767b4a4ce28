"""The way of a notification with real processes: bus → listener → our broker → transform → our broker → collector → store."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any
from uuid import uuid4

import kombu

from agents.keys import load_or_create
from metering.models import Agent, AgentKey
from tests.support.notifier import Bus
from tests.support.roles import Role, Stage, wait_until
from tests.support.stacks import Stack

__all__ = ["Metered", "publish_bodies", "wired"]

_NAME = "mq-1"


class Metered:
    """A host with listener and transform, and a collector. ``config`` is its CELOMETER_CONFIG_DIR, empty at first."""

    def __init__(self, stage: Stage, stack: Stack, bus: Bus, *, exchanges: str = "nova,cinder,glance,neutron") -> None:
        self.stage, self.stack, self.bus = stage, stack, bus
        self.home = stage.directory / _NAME
        self.config = stage.directory / "config"
        self.config.mkdir()
        self._quiet_looks = 0
        key = load_or_create(self.home / "agent" / "key.pem")
        agent = Agent.objects.create(name=_NAME)
        AgentKey.objects.create(agent=agent, key_id=key.public.id, public_key=key.public.raw)
        bus.will_make(queues=["celometer"], exchanges=exchanges.split(","))
        self.environment = stage.environment(
            **stack.environment(CELOMETER_DATABASE_URL=""),
            CELOMETER_SETTINGS="agent",
            CELOMETER_HOME=str(self.home),
            CELOMETER_NODE=_NAME,
            CELOMETER_CONFIG_DIR=str(self.config),
            CELOMETER_NOTIFICATION_URLS=f"{bus.url}?exchanges={exchanges}",
            CELOMETER_STATE_URL=stack.broker.direct_url if stack.broker.kind == "redis" else "",
        )
        self.listener = stage.role("listener", *_LISTEN, environment=self.environment)
        self.transform = stage.worker("transform", environment=self.environment)
        self.collector = stage.worker("collector", environment=stage.environment(**stack.environment()))

    @property
    def roles(self) -> tuple[Role, Role, Role]:
        return self.listener, self.transform, self.collector

    def start(self) -> Metered:
        """Start all three; the bus keeps what is sent from now on."""
        for role in self.roles:
            role.start()
        self.listener.await_output("listening on")
        self.transform.await_ready()
        self.collector.await_ready()
        return self

    def await_quiet(self) -> None:
        """Wait until nothing is left on the way: not on the bus, not on our broker, not in the outbox."""
        wait_until(self._is_quiet, what="nothing is left on the way")

    def _is_quiet(self) -> bool:
        waiting = self.bus.depth("celometer") + sum(
            self.stack.broker.depth(name) for name in ("transform", "collector")
        )
        with sqlite3.connect(f"file:{self.home}/agent/outbox.sqlite3?mode=ro", uri=True, timeout=10) as db:
            (unsent,) = db.execute("SELECT count(*) FROM batch WHERE sent_at IS NULL").fetchone()
        # What a role has in its hands is in none of them, but not for long.
        now_quiet = not waiting and not unsent
        self._quiet_looks = self._quiet_looks + 1 if now_quiet else 0
        return self._quiet_looks >= 20

    def write(self, name: str, text: str) -> Path:
        """Put a file of the operator's into its place."""
        path = self.config / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return path


_LISTEN = ("tests.support.manage", "listen")


def wired(inner: dict[str, Any]) -> bytes:
    """The body of a notification as the bus carries it; its id and transport id are filled in where they are missing."""
    inner = {"message_id": str(uuid4()), "_unique_id": uuid4().hex} | inner
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(inner)}).encode()


def publish_bodies(bus: Bus, exchange: str, bodies: list[bytes], *, key: str = "notifications.info") -> None:
    """Put bodies onto the bus as they are, thousands a second; the listener must have declared its queue."""
    with bus.connect() as client:
        producer = kombu.Producer(client.channel(), auto_declare=False)
        for body in bodies:
            producer.publish(
                body,
                exchange=exchange,
                routing_key=key,
                content_type="application/json",
                content_encoding="utf-8",
                delivery_mode=2,
            )
