"""A cloud's message bus with real senders on it: oslo.messaging's Notifier, as every OpenStack service uses it, and Swift's middleware.

Take the fixture ``cloud_bus``: a virtual host of our own on the machine's RabbitMQ, behind a wire that the test can cut (``bus.url``).
The libraries are imported on first use: loading them takes half a second.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults

import pytest
from amqp.exceptions import NotFound

from tests.support.proxy import Wire
from tests.support.stacks import RabbitBroker, behind_wire, emptied, rabbit_vhost

if TYPE_CHECKING:
    from oslo_context.context import RequestContext
    from oslo_messaging import Notifier

__all__ = ["Bus", "request_context", "send_request"]

PRIORITIES = ("audit", "debug", "info", "warn", "error", "critical", "sample")


class Bus(RabbitBroker):
    """The cloud's own bus; empty at the beginning of a test."""

    def __init__(self, direct_url: str, wire: Wire) -> None:
        super().__init__(direct_url, wire)
        self._exchanges: set[str] = set()
        self._queues: set[str] = set()
        self._notifiers: list[Notifier] = []

    def notifier(
        self,
        exchange: str,
        *,
        publisher_id: str | None = "compute.cmp-07",
        topics: Iterable[str] = ("notifications",),
        driver: str = "messagingv2",
        **rabbit_options: Any,
    ) -> Notifier:
        """What a service makes of its configuration file; has ``info``, ``error`` and ``sample`` (context, event type, payload).

        ``rabbit_options`` stand in ``[oslo_messaging_rabbit]`` (``amqp_durable_queues=True``, ``kombu_compression="gzip"``). A message is
        in its queues when the call returns; a failure to send is logged by oslo.messaging and told nobody.
        """
        import oslo_messaging
        from oslo_config import cfg

        oslo_messaging.set_transport_defaults(control_exchange=exchange)
        lines = [
            "[oslo_messaging_notifications]",
            f"transport_url = {self.transport_url}",
            f"driver = {driver}",
            f"topics = {','.join(topics)}",
            "retry = 3",
            "[oslo_messaging_rabbit]",
            *(f"{name} = {value}" for name, value in rabbit_options.items()),
        ]
        conf = cfg.ConfigOpts()
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
            file.write("\n".join(lines))
            file.flush()
            conf([], project="celometer-tests", default_config_files=[file.name], default_config_dirs=[])
        notifier = oslo_messaging.Notifier(oslo_messaging.get_notification_transport(conf), publisher_id=publisher_id)
        self._notifiers.append(notifier)
        self._clear_up_later(exchange, topics)
        return notifier

    def swift_proxy(self, app: Callable[..., Iterable[bytes]], **options: str) -> Callable[..., Iterable[bytes]]:
        """A WSGI app behind ceilometermiddleware, with these options of its section in proxy-server.conf."""
        from ceilometermiddleware.swift import filter_factory

        proxy = filter_factory({}, url=self.transport_url, **options)(app)
        self._notifiers.append(proxy._notifier)
        self._clear_up_later(options.get("control_exchange", "swift"), [options.get("topic", "notifications")])
        return proxy

    @property
    def transport_url(self) -> str:
        """As in a service's configuration; past the wire."""
        return self.direct_url.replace("amqp://", "rabbit://", 1)

    def bodies(self, queue: str, count: int, *, timeout_seconds: float = 20) -> list[bytes]:
        """Take this many messages from the queue, as their bytes; fails when there are fewer."""
        self._queues.add(queue)
        found: list[bytes] = []
        give_up_at = time.monotonic() + timeout_seconds
        with self.connect() as client:
            while len(found) < count:
                channel = client.channel()
                try:
                    message = channel.basic_get(queue, no_ack=True)
                except NotFound:
                    message = None
                if message is not None:
                    found.append(message.body if isinstance(message.body, bytes) else message.body.encode())
                elif time.monotonic() > give_up_at:
                    raise AssertionError(f"{len(found)} messages in the queue {queue!r}: expected {count}")
                else:
                    time.sleep(0.05)
                channel.close()
        return found

    def lose_everything(self) -> None:
        for notifier in self._notifiers:
            notifier.transport.cleanup()
        with self.connect() as client:
            for queue in self._queues:
                client.channel().queue_delete(queue)
            for exchange in self._exchanges:
                client.channel().exchange_delete(exchange)
        self._notifiers, self._queues, self._exchanges = [], set(), set()

    def _clear_up_later(self, exchange: str, topics: Iterable[str]) -> None:
        self._exchanges.add(exchange)
        self._queues |= {f"{topic}.{priority}" for topic in topics for priority in PRIORITIES}

    def will_make(self, *, queues: Iterable[str] = (), exchanges: Iterable[str] = ()) -> None:
        """What a listener under test declares on the bus, to be cleared up after the test."""
        self._queues |= set(queues)
        self._exchanges |= set(exchanges)


@pytest.fixture(scope="session")
def _cloud_bus() -> Iterator[Bus]:
    with rabbit_vhost("cloud") as url, behind_wire(Bus, url) as bus:
        yield bus


@pytest.fixture
def cloud_bus(_cloud_bus: Bus) -> Iterator[Bus]:
    """The cloud's message bus, empty."""
    with emptied(_cloud_bus) as bus:
        yield bus


def request_context(**changes: Any) -> RequestContext:
    """What a service knows of the request it is working at; it holds a token, as real ones do."""
    from oslo_context.context import RequestContext

    values = {
        "user_id": "a90d3b6c1e5f4a2b8c7d6e5f40312233",
        "project_id": "4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa",
        "user_name": "lena.okafor",
        "project_name": "orchard-web",
        "auth_token": "a-token-that-nobody-may-store",
        "roles": ["member", "reader"],
        "overwrite": False,
    }
    return RequestContext(**(values | changes))


def send_request(
    proxy: Callable[..., Iterable[bytes]], method: str, path: str, body: bytes = b"", **environ: Any
) -> tuple[str, bytes]:
    """Ask a WSGI app, to the last byte of its answer: status and body."""
    environ |= {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
    }
    setup_testing_defaults(environ)
    statuses: list[str] = []
    answer = proxy(environ, lambda status, headers, exc_info=None: statuses.append(status))
    content = b"".join(answer)
    close = getattr(answer, "close", None)
    if close is not None:
        close()
    return statuses[0], content
