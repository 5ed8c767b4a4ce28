"""Takes notifications off a cloud's bus and hands them over, many in one task. A message is acknowledged once our broker has it.

A bus that goes away is waited for; what was taken and not acknowledged, it delivers again. Messages are not read here: what is in them is
the transform role's business, and nothing in them can stop this one.
"""

from __future__ import annotations

import logging
import ssl
import threading
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import kombu
from amqp.exceptions import AccessRefused, ChannelError, NotFound
from kombu.transport.base import Message

from metering.messages import MAX_LETTER_BYTES, Bundle, Letter

from .addresses import SHARED, Bus

__all__ = ["Listener"]

logger = logging.getLogger(__name__)

# Hands one bundle to our broker; returns when the broker has it, raises anything when it may not.
HandOver = Callable[[Bundle], None]
_LETTERS_PER_BUNDLE = 500
_BYTES_PER_BUNDLE = 4 * 1024 * 1024
_KEPT_OF_TOO_LARGE_BYTES = 1024 * 1024
# Two bundles: one that is handed over while the bus delivers the next.
_PREFETCH = 2 * _LETTERS_PER_BUNDLE
# How long the first message of a bundle waits for more.
_GATHER_SECONDS = 0.1
_IDLE_SECONDS = 1.0
_HEARTBEAT_SECONDS = 30
_LONGEST_PAUSE_SECONDS = 30.0
# What RabbitMQ 4 would otherwise do after 20 deliveries is drop a message.
_QUEUE_ARGUMENTS = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000}


class Listener(threading.Thread):
    """The one thread that listens to one bus. ``taken`` counts the messages that were handed over and acknowledged."""

    def __init__(self, bus: Bus, hand_over: HandOver) -> None:
        super().__init__(name=f"listener of {bus.name}", daemon=True)
        self.bus = bus
        self.taken = 0
        self._hand_over = hand_over
        self._gathered = _Gathered()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End soon; what is not handed over by then stays on the bus."""
        self._stopping.set()

    def run(self) -> None:
        pause_seconds = 0.0
        while not self._stopping.is_set():
            taken = self.taken
            try:
                self._listen()
            except (
                Exception
            ) as error:  # whatever the bus or its library raises: nothing was acknowledged, so nothing is lost
                pause_seconds = 1.0 if self.taken > taken else min(max(2 * pause_seconds, 1.0), _LONGEST_PAUSE_SECONDS)
                logger.warning("%s: %s; trying again in %g s", self.bus.name, _told(error, self.bus), pause_seconds)
                self._stopping.wait(pause_seconds)

    def _listen(self) -> None:
        self._gathered = _Gathered()
        with kombu.Connection(list(self.bus.urls), heartbeat=_HEARTBEAT_SECONDS, ssl=_tls(self.bus)) as connection:
            connection.ensure_connection(max_retries=1, timeout=10)
            queues = _declare(connection, self.bus)
            channel = connection.channel()
            channel.basic_qos(0, _PREFETCH, False)
            consumer = kombu.Consumer(channel, queues, on_message=self._gathered.add, accept=None, auto_declare=False)
            with consumer:
                logger.info("%s: listening on %s", self.bus.name, ", ".join(queue.name for queue in queues))
                while not self._stopping.is_set():
                    self._take_some(connection, channel)

    def _take_some(self, connection: kombu.Connection, channel: Any) -> None:
        """Wait for messages, and hand over what came."""
        gathered = self._gathered
        try:
            connection.drain_events(timeout=gathered.remaining_seconds())
        except TimeoutError:
            connection.heartbeat_check()
        if gathered.is_ready():
            self._deliver(connection, gathered.bundle(self.bus.name))
            channel.basic_ack(gathered.last_tag, multiple=True)
            self.taken += len(gathered.letters)
            gathered.clear()

    def _deliver(self, connection: kombu.Connection, bundle: Bundle) -> None:
        """Hand a bundle over, as often as it takes: while our broker is away, the bus keeps what we do not take."""
        pause_seconds = 0.0
        while True:
            try:
                self._hand_over(bundle)
            except Exception as error:
                if not pause_seconds:
                    logger.warning("our broker does not take notifications, they wait on the bus: %s", _told(error))
                pause_seconds = min(max(2 * pause_seconds, 0.5), _HEARTBEAT_SECONDS / 4)
                if self._stopping.wait(pause_seconds):
                    raise
                # Keeps the bus from taking us for dead; it raises when the bus itself is gone.
                connection.heartbeat_check()
                continue
            if pause_seconds:
                logger.info("our broker takes notifications again")
            return


class _Gathered:
    """Messages that wait to be handed over together."""

    def __init__(self) -> None:
        self.letters: list[Letter] = []
        self.last_tag: Any = None
        self._bytes = 0
        self._since = 0.0

    def add(self, message: Message) -> None:
        letter = _letter(message)
        if not self.letters:
            self._since = time.monotonic()
        self.letters.append(letter)
        self._bytes += len(letter.body)
        self.last_tag = message.delivery_tag

    def clear(self) -> None:
        self.letters, self._bytes = [], 0

    def remaining_seconds(self) -> float:
        """How long another message may be waited for."""
        if not self.letters:
            return _IDLE_SECONDS
        return max(self._since + _GATHER_SECONDS - time.monotonic(), 0.001)

    def is_ready(self) -> bool:
        return bool(self.letters) and (
            len(self.letters) >= _LETTERS_PER_BUNDLE
            or self._bytes >= _BYTES_PER_BUNDLE
            or time.monotonic() >= self._since + _GATHER_SECONDS
        )

    def bundle(self, bus: str) -> Bundle:
        return Bundle(id=uuid4().hex, taken=time.time_ns() // 1000, bus=bus, letters=self.letters)


def _letter(message: Message) -> Letter:
    body, headers, delivery = message.body, message.headers or {}, message.delivery_info or {}
    body = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else bytes(body or b"")
    is_whole = len(body) <= MAX_LETTER_BYTES
    return Letter(
        body=body if is_whole else body[:_KEPT_OF_TOO_LARGE_BYTES],
        content_type=str(message.content_type or "")[:255],
        # config.amqp_transport leaves compressed bodies as they are, and says so.
        compression=str(headers.get("compression, not applied") or headers.get("compression") or "")[:255],
        exchange=str(delivery.get("exchange") or "")[:255],
        routing_key=str(delivery.get("routing_key") or "")[:255],
        whole_bytes=0 if is_whole else len(body),
    )


def _declare(connection: kombu.Connection, bus: Bus) -> list[kombu.Queue]:
    """The queues to consume. What is on the bus stays as it is: only what is missing is made."""
    names = bus.routing_keys() if bus.queue == SHARED else [bus.queue]
    for name in names:
        if bus.queue != SHARED:
            with connection.channel() as channel:
                channel.queue_declare(name, durable=True, auto_delete=False, arguments=_QUEUE_ARGUMENTS)
        elif not _exists(connection, lambda channel, name=name: channel.queue_declare(name, passive=True)):
            with connection.channel() as channel:
                channel.queue_declare(name, durable=bus.durable, auto_delete=False)
    _bind_all(connection, bus, names)
    return [kombu.Queue(name, no_declare=True) for name in names]


def _bind_all(connection: kombu.Connection, bus: Bus, names: list[str]) -> None:
    """Bind every exchange; one that we may not use keeps us from no other. Raises AccessRefused when we may use none."""
    refused: list[AccessRefused] = []
    for exchange in bus.exchanges:
        try:
            _bind(connection, bus, exchange, names)
        except AccessRefused as error:
            refused.append(error)
            text = "%s: not listening to exchange %s until the next start: %s"
            logger.warning(text, bus.name, exchange, _told(error, bus))
    if len(refused) == len(bus.exchanges):
        raise refused[-1]


def _bind(connection: kombu.Connection, bus: Bus, exchange: str, names: list[str]) -> None:
    exists = _exists(connection, lambda channel: channel.exchange_declare(exchange, "topic", passive=True))
    # A broker that refuses closes the channel.
    channel = connection.channel()
    if not exists:
        channel.exchange_declare(exchange, "topic", durable=bus.durable, auto_delete=False)
    for name in names:
        for key in [name] if bus.queue == SHARED else bus.routing_keys():
            channel.queue_bind(name, exchange, key)
    channel.close()


def _exists(connection: kombu.Connection, look: Callable[[Any], object]) -> bool:
    channel = connection.channel()
    try:
        look(channel)
    except NotFound:
        # The broker has closed the channel.
        return False
    except ChannelError:
        # Something of that name is there, of another kind: whoever needs it otherwise will say so.
        return True
    channel.close()
    return True


def _tls(bus: Bus) -> dict[str, Any] | bool:
    if not bus.ssl:
        return False
    return {"cert_reqs": ssl.CERT_REQUIRED, **({"ca_certs": bus.ca_file} if bus.ca_file else {})}


def _told(error: Exception, bus: Bus | None = None) -> str:
    """One line. What a broker says stands in its reply; which user it means does not always."""
    text = str(getattr(error, "reply_text", "") or error)
    if bus and isinstance(error, AccessRefused):
        return f"user {bus.user!r}: {text}"[:300]
    return f"{type(error).__name__}: {text}"[:300]
