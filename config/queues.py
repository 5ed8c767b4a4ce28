"""The queues, whose side each is on, and which broker carries it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from kombu import Exchange, Queue
from kombu.common import Broadcast

from . import env

__all__ = ["QUEUES", "RefusedQueue", "check_queues", "queue_declarations", "routes", "transport_options"]


class RefusedQueue(Exception):
    """A worker was asked to consume a queue that is not its side's."""


@dataclass(frozen=True)
class _Queue:
    side: env.Side
    # Queues of the server's own roles live on a broker (or vhost) that agents have no login for.
    on_server_broker: bool = False


QUEUES = {
    "compute": _Queue("agent"),
    "central": _Queue("agent"),
    "transform": _Queue("agent"),
    "notifier": _Queue("agent"),
    "collector": _Queue("server"),
    # What notifiers say came of their attempts.
    "reports": _Queue("server"),
    "store": _Queue("server", on_server_broker=True),
    "alarms": _Queue("server", on_server_broker=True),
}
# A quorum queue is on disk and on several brokers. From RabbitMQ 4 on it drops a message after 20 deliveries unless told otherwise, and a
# store that is away for a night makes more; -1, its word for no limit, means one delivery to older ones. On Redis all this means nothing.
_QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000}


def queue_declarations() -> list[Queue]:
    """What workers declare. ``compute`` is a broadcast: each node gets each tick, one that is down misses it."""
    ordinary = [
        Queue(name, Exchange(name, type="direct"), routing_key=name, durable=True, queue_arguments=_QUORUM)
        for name in QUEUES
        if name != "compute"
    ]
    return [Broadcast("compute", exchange=_COMPUTE, routing_key="compute"), *ordinary]


_COMPUTE = Exchange("compute", type="fanout")


def routes() -> dict[str, dict[str, object]]:
    """Where tasks go by name. The fanout exchange is declared by the producer too, or Redis would drop the message in silence."""
    return {"agents.poll": {"queue": "compute", "declare": [_COMPUTE]}}


def check_queues(names: Collection[str], *, side: env.Side) -> None:
    """Raise RefusedQueue unless all queues are known, this side's, and on one broker."""
    for name in names:
        if name not in QUEUES:
            raise RefusedQueue(f"queue {name!r}: expected -Q with one of {', '.join(sorted(QUEUES))}")
        if QUEUES[name].side != side:
            raise RefusedQueue(
                f"queue {name!r} belongs to the {QUEUES[name].side} side: start it with CELOMETER_SETTINGS={QUEUES[name].side}"
            )
    for name in ("collector", "transform", "reports"):
        if name in names and len(names) > 1:
            raise RefusedQueue(f"queue {name!r} has a gate of its own: start another worker for the others")
    if len({QUEUES[name].on_server_broker for name in names}) > 1 and env.server_broker_url() != env.broker_url():
        raise RefusedQueue(f"queues {', '.join(sorted(names))} lie on two brokers: start a worker for each")


def read_url(names: Collection[str]) -> str:
    """The broker on which these queues lie."""
    on_server = any(QUEUES[name].on_server_broker for name in names)
    return env.server_broker_url() if on_server else env.broker_url()


def transport_options(*urls: str) -> dict[str, object]:
    """Options of the transports that the URLs choose. One visibility timeout for all roles: the shortest would win anyway."""
    options: dict[str, object] = {"confirm_publish": True}
    if any(urlsplit(url).scheme.startswith("redis") for url in urls):
        visibility_seconds = env.integer("CELOMETER_VISIBILITY_SECONDS", 60) or 60
        options |= {
            "visibility_timeout": visibility_seconds,
            "unacked_restore_interval": min(5, visibility_seconds),
            "socket_connect_timeout": 5,
            "socket_timeout": 30,
            "socket_keepalive": True,
        }
    return options
