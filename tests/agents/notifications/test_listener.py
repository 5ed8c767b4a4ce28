"""The listener on a real bus with real senders: it acknowledges what is handed over, and nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
from collections.abc import Callable, Iterator

import kombu
import pytest
from amqp.exceptions import NotFound

from agents.notifications.addresses import read_addresses
from agents.notifications.listener import Listener
from agents.notifications.unpacking import BadNotification, unpack
from metering.messages import Bundle, Letter
from tests.support.notifier import Bus, request_context
from tests.support.roles import wait_until

EXCHANGES = ("nova", "cinder", "glance")


class HandOver:
    """Our broker, as the listener sees it; ``refuses`` makes it one that is away."""

    def __init__(self) -> None:
        self.bundles: list[Bundle] = []
        self.refuses = threading.Event()
        self.refused = 0

    def __call__(self, bundle: Bundle) -> None:
        if self.refuses.is_set():
            self.refused += 1
            raise ConnectionError("the broker is away")
        self.bundles.append(bundle)

    def letters(self) -> list[Letter]:
        return [letter for bundle in self.bundles for letter in bundle.letters]

    def ids(self) -> list[str]:
        return [unpack(letter).message_id for letter in self.letters()]


@pytest.fixture
def taken() -> HandOver:
    return HandOver()


@pytest.fixture
def listen(cloud_bus: Bus, taken: HandOver) -> Iterator[Callable[..., Listener]]:
    """Starts a listener to the bus; it has declared what it needs when this returns."""
    started: list[Listener] = []

    def start(**parameters: str) -> Listener:
        parameters = {"exchanges": ",".join(EXCHANGES), **parameters}
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        (bus,) = read_addresses(f"{cloud_bus.url}?{query}")
        queues = bus.routing_keys() if bus.queue == "shared" else [bus.queue]
        cloud_bus.will_make(queues=queues, exchanges=bus.exchanges)
        listener = Listener(bus, taken)
        listener.start()
        started.append(listener)
        wait_until(lambda: all(consumers(cloud_bus, queue) for queue in queues), what="it listens")
        return listener

    yield start
    for listener in started:
        listener.stop()
    for listener in started:
        listener.join(timeout=10)


def rabbitmqctl(*arguments: str) -> None:
    subprocess.run(["rabbitmqctl", "-q", *arguments], check=True, capture_output=True, timeout=60)


def consumers(bus: Bus, queue: str) -> int:
    with bus.connect() as client:
        try:
            return int(client.channel().queue_declare(queue, passive=True).consumer_count)
        except NotFound:
            return 0


def test_every_exchange_topic_and_priority_is_heard(cloud_bus: Bus, taken: HandOver, listen) -> None:
    listen()
    for exchange in EXCHANGES:
        topics = ["notifications", *(["versioned_notifications"] if exchange == "nova" else [])]
        sender = cloud_bus.notifier(exchange, topics=topics)
        for send in (sender.info, sender.error, sender.sample):
            send(request_context(), f"{exchange}.said", {})
    wait_until(lambda: len(taken.letters()) == 12, what="all of them")
    heard = {(letter.exchange, letter.routing_key) for letter in taken.letters()}
    assert len(heard) == 12
    assert {unpack(letter).event_type for letter in taken.letters()} == {f"{exchange}.said" for exchange in EXCHANGES}


def test_many_notifications_go_in_one_bundle(cloud_bus: Bus, taken: HandOver, listen) -> None:
    taken.refuses.set()
    listener = listen()
    sender = cloud_bus.notifier("cinder")
    for number in range(300):
        sender.info(request_context(), "volume.create.end", {"number": number})
    taken.refuses.clear()
    wait_until(lambda: len(taken.letters()) == 300, what="all of them")
    assert len(taken.bundles) < 30
    assert [unpack(letter).payload["number"] for letter in taken.letters()] == list(range(300)), "in their order"
    wait_until(lambda: listener.taken == 300, what="all of them are acknowledged")


def test_nothing_is_acknowledged_before_it_is_handed_over(cloud_bus: Bus, taken: HandOver, listen) -> None:
    taken.refuses.set()
    first = listen()
    sender = cloud_bus.notifier("cinder")
    for number in range(5):
        sender.info(request_context(), "volume.create.end", {"number": number})
    wait_until(lambda: taken.refused >= 2, what="it tries again")
    assert first.taken == 0
    first.stop()
    first.join(timeout=10)
    assert not taken.bundles
    wait_until(lambda: cloud_bus.depth("celometer") == 5, what="the bus has all of them still")

    taken.refuses.clear()
    listen()
    wait_until(lambda: len(taken.letters()) == 5, what="the next listener gets them")
    wait_until(lambda: cloud_bus.depth("celometer") == 0, what="they are acknowledged")


def test_a_bus_that_goes_away_is_waited_for(cloud_bus: Bus, taken: HandOver, listen) -> None:
    listen()
    sender = cloud_bus.notifier("cinder")
    sender.info(request_context(), "volume.create.start", {})
    wait_until(lambda: len(taken.letters()) == 1, what="the first")
    cloud_bus.wire.cut()
    for _ in range(3):
        sender.info(request_context(), "volume.create.end", {})
    cloud_bus.wire.mend()
    wait_until(lambda: len(set(taken.ids())) == 4, what="what was sent meanwhile")


def test_what_was_taken_and_not_acknowledged_comes_again(cloud_bus: Bus, taken: HandOver, listen) -> None:
    taken.refuses.set()
    listen()
    cloud_bus.notifier("cinder").info(request_context(), "volume.create.start", {})
    wait_until(lambda: taken.refused >= 1, what="it was taken")
    cloud_bus.wire.cut()
    taken.refuses.clear()
    cloud_bus.wire.mend()
    wait_until(lambda: len(set(taken.ids())) == 1, what="it is handed over")
    wait_until(lambda: cloud_bus.depth("celometer") == 0, what="and acknowledged at last")


def test_the_queues_that_publishers_fill_by_themselves_can_be_shared(cloud_bus: Bus, taken: HandOver, listen) -> None:
    sender = cloud_bus.notifier("cinder")
    sender.info(request_context(), "volume.create.start", {})
    listen(queue="shared")
    sender.error(request_context(), "volume.create.error", {})
    wait_until(lambda: len(taken.letters()) == 2, what="also what was sent before anybody listened")
    assert {letter.routing_key for letter in taken.letters()} == {"notifications.info", "notifications.error"}


@pytest.mark.parametrize("options", [{}, {"amqp_durable_queues": True}])
def test_exchanges_are_left_as_the_publishers_made_them(
    cloud_bus: Bus, taken: HandOver, listen, options: dict[str, bool]
) -> None:
    sender = cloud_bus.notifier("cinder", **options)
    sender.info(request_context(), "volume.create.start", {})
    listen()
    sender.info(request_context(), "volume.create.end", {})
    wait_until(lambda: len(taken.letters()) == 1, what="what is sent from now on")


def test_publishers_find_durable_exchanges_as_they_want_them(cloud_bus: Bus, taken: HandOver, listen) -> None:
    listen(durable="true")
    cloud_bus.notifier("glance", amqp_durable_queues=True).info(request_context(), "image.upload", {})
    wait_until(lambda: len(taken.letters()) == 1, what="the notification of a publisher that came later")


def test_a_compressed_notification_can_be_read(cloud_bus: Bus, taken: HandOver, listen) -> None:
    listen()
    cloud_bus.notifier("glance", kombu_compression="gzip").info(request_context(), "image.upload", {"size": 1})
    wait_until(lambda: len(taken.letters()) == 1, what="it is heard")
    assert unpack(taken.letters()[0]).payload == {"size": 1}


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[]", json.dumps({"oslo.version": "2.0"}).encode()])
def test_what_is_no_notification_stops_nothing(cloud_bus: Bus, taken: HandOver, listen, body: bytes) -> None:
    listen()
    sender = cloud_bus.notifier("glance")
    with cloud_bus.connect() as client:
        producer = kombu.Producer(client.channel(), auto_declare=False)
        producer.publish(body, exchange="glance", routing_key="notifications.info", content_type="application/data")
    sender.info(request_context(), "image.upload", {})
    wait_until(lambda: len(taken.letters()) == 2, what="both")
    assert {letter.body for letter in taken.letters()} > {body}


def test_of_a_message_too_large_for_our_broker_the_start_is_handed_over(
    cloud_bus: Bus, taken: HandOver, listen
) -> None:
    """Brokers refuse messages from some size on; handed over again and again, it would hold up all that come after it."""
    listen()
    with cloud_bus.connect() as client:
        producer = kombu.Producer(client.channel(), auto_declare=False)
        producer.publish(b"x" * 9_000_000, exchange="nova", routing_key="notifications.info")
    cloud_bus.notifier("nova").info(request_context(), "nova.said", {})
    wait_until(lambda: len(taken.letters()) == 2, what="both")
    large, small = taken.letters()
    assert (len(large.body), large.whole_bytes) == (1024 * 1024, 9_000_000)
    assert small.whole_bytes == 0
    with pytest.raises(BadNotification, match="9000000 bytes: expected at most"):
        unpack(large)


@pytest.fixture
def reader(cloud_bus: Bus) -> Iterator[str]:
    """The bus's URL for a user who may make our queue and use the exchange nova, and nothing else."""
    name, vhost = f"reader-{os.getpid()}", cloud_bus.url.rpartition("/")[2]
    rabbitmqctl("add_user", name, "secret")
    rabbitmqctl("set_permissions", "-p", vhost, name, "^(celometer|nova)$", "^celometer$", "^(celometer|nova)$")
    yield re.sub(r"//.*@", f"//{name}:secret@", cloud_bus.url)
    rabbitmqctl("delete_user", name)


def test_exchanges_that_may_not_be_used_keep_from_no_other(
    cloud_bus: Bus, taken: HandOver, reader: str, caplog: pytest.LogCaptureFixture
) -> None:
    (bus,) = read_addresses(f"{reader}?exchanges=cinder,nova")
    cloud_bus.will_make(queues=["celometer"], exchanges=["nova"])
    listener = Listener(bus, taken)
    listener.start()
    try:
        wait_until(lambda: consumers(cloud_bus, "celometer"), what="it listens")
        cloud_bus.notifier("nova").info({}, "compute.instance.create.end", {})
        wait_until(lambda: len(taken.letters()) == 1, what="the notification")
    finally:
        listener.stop()
        listener.join(timeout=10)
    (told,) = [record.getMessage() for record in caplog.records if "not listening" in record.getMessage()]
    assert "exchange cinder" in told
    assert f"user '{bus.user}': ACCESS_REFUSED" in told.replace("(403) ", "")
    assert "(0, 0)" not in told


def test_a_login_that_is_refused_is_told_with_its_user(
    cloud_bus: Bus, taken: HandOver, caplog: pytest.LogCaptureFixture
) -> None:
    (bus,) = read_addresses(re.sub(r"//.*@", "//nobody:secret@", cloud_bus.url))
    listener = Listener(bus, taken)
    listener.start()
    try:
        wait_until(lambda: any("trying again" in record.getMessage() for record in caplog.records), what="it is told")
    finally:
        listener.stop()
        listener.join(timeout=10)
    told = next(record.getMessage() for record in caplog.records if "trying again" in record.getMessage())
    assert "user 'nobody': " in told
    assert "ACCESS_REFUSED" in told
    assert "(0, 0)" not in told
