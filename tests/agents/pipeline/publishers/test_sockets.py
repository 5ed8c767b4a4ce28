"""``udp://`` and ``tcp://``, against real sockets."""

from __future__ import annotations

import socket
import struct
import threading
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given as given_by
from hypothesis import strategies as st

from agents.pipeline.publishers.shapes import metering_message
from metering.messages import volume_text

from .things import AT_TEXT, event, outgoing, wait_until

LOCAL = "127.0.0.1"


@pytest.fixture
def receive(closing):
    """A UDP socket to publish to."""

    def listen(host=LOCAL, port=0):
        receiver = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * 1024 * 1024)
        receiver.bind((host, port))
        receiver.settimeout(20)
        return closing(receiver)

    return listen


def port_of(listener):
    return listener.getsockname()[1]


def test_each_sample_is_a_datagram_with_the_names_of_the_metering_message(receive, publish_to):
    receiver = receive()
    publisher = publish_to(f"udp://{LOCAL}:{port_of(receiver)}")
    publisher.publish_samples([outgoing(1, volume="1.5", user=None, metadata={"a": {"b": 1}}), outgoing(2)])
    assert msgspec.msgpack.decode(receiver.recv(65536)) == {
        "source": "openstack",
        "counter_name": "cpu",
        "counter_type": "gauge",
        "counter_unit": "ns",
        "counter_volume": 1.5,
        "user_id": None,
        "project_id": "p1",
        "resource_id": "vm-1",
        "timestamp": AT_TEXT,
        "resource_metadata": {"a": {"b": 1}},
        "message_id": "id-1",
        "message_signature": "",
    }
    assert msgspec.msgpack.decode(receiver.recv(65536))["message_id"] == "id-2"
    wait_until(lambda: publisher.state() == (2, 0, 0, ""))


numbers = (
    st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.decimals(places=20, min_value=0, max_value=10**9)
)


@given_by(numbers)
def test_a_packed_volume_is_exactly_the_volume(value):
    text = volume_text(value)
    packed = metering_message(outgoing(1, volume=text))["counter_volume"]
    assert Decimal(repr(packed) if isinstance(packed, float) else packed) == Decimal(text)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(packed)) == packed


def test_a_sample_too_large_for_a_datagram_is_dropped_and_the_others_go(receive, publish_to):
    receiver = receive()
    publisher = publish_to(f"udp://{LOCAL}:{port_of(receiver)}")
    publisher.publish_samples([outgoing(1, metadata={"a": "x" * 65_536}), outgoing(2)])
    assert msgspec.msgpack.decode(receiver.recv(65536))["message_id"] == "id-2"
    wait_until(lambda: publisher.state()[:3] == (1, 0, 1))


def test_the_largest_datagram_goes(receive, publish_to):
    receiver = receive()
    publisher = publish_to(f"udp://{LOCAL}:{port_of(receiver)}")
    size = len(msgspec.msgpack.encode(metering_message(outgoing(1, metadata={"a": "x" * 60_000}))))
    publisher.publish_samples([outgoing(1, metadata={"a": "x" * (60_000 + 65_507 - size)})])
    assert len(receiver.recv(65536)) == 65_507


def test_udp_over_ipv6(receive, publish_to):
    receiver = receive("::1")
    publish_to(f"udp://[::1]:{port_of(receiver)}").publish_samples([outgoing(1)])
    assert msgspec.msgpack.decode(receiver.recv(65536))["message_id"] == "id-1"


def test_udp_without_a_listener_goes_on_when_there_is_one(receive, publish_to, short_pauses):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind((LOCAL, 0))
        port = port_of(free)
    publisher = publish_to(f"udp://{LOCAL}:{port}")
    publisher.publish_samples([outgoing(number) for number in range(400)])
    wait_until(lambda: publisher.state().error == "Connection refused")
    receiver = receive(port=port)
    wait_until(lambda: publisher.state() == (400, 0, 0, ""))
    assert msgspec.msgpack.decode(receiver.recv(65536))["message_id"].startswith("id-")


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_events_are_dropped_and_counted(publish_to, scheme):
    publisher = publish_to(f"{scheme}://{LOCAL}:1")
    publisher.publish_events([event(1), event(2)])
    assert publisher.state()[:3] == (0, 0, 2)


@pytest.mark.parametrize("scheme", ["udp", "tcp"])
def test_a_name_that_nobody_has_is_a_failure(publish_to, scheme):
    publisher = publish_to(f"{scheme}://nobody.invalid")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state().error)
    assert publisher.state()[:3] == (0, 1, 0)


class FrameServer:
    """Takes connections one after another and reads frames; ``treat`` may do something else with a connection and say True."""

    def __init__(self, treat=lambda connection: False, host=LOCAL, port=0):
        self.messages, self.connections = [], 0
        self._treat = treat
        self._listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = port_of(self._listener)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                if not self._treat(connection):
                    self._read(connection)

    def _read(self, connection):
        stream = connection.makefile("rb")
        while length := stream.read(8):
            body = stream.read(struct.unpack("<Q", length)[0])
            self.messages.append(msgspec.msgpack.decode(body))

    def ids(self):
        return [message["message_id"] for message in self.messages]

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def test_tcp_sends_frames_over_one_connection(closing, publish_to):
    server = closing(FrameServer())
    publisher = publish_to(f"tcp://{LOCAL}:{server.port}")
    for number in range(100):
        publisher.publish_samples([outgoing(number)])
        if number % 10 == 0:
            wait_until(lambda number=number: publisher.state().sent == number + 1)
    publisher.close(10)
    wait_until(lambda: len(server.messages) == 100)
    assert server.ids() == [f"id-{number}" for number in range(100)]
    assert server.messages[0]["publisher_id"] == socket.gethostname()
    assert server.connections == 1 and publisher.state() == (100, 0, 0, "")


def test_tcp_over_ipv6(closing, publish_to):
    server = closing(FrameServer(host="::1"))
    publish_to(f"tcp://[::1]:{server.port}").publish_samples([outgoing(1)])
    wait_until(lambda: server.ids() == ["id-1"])


def test_tcp_connects_again_after_the_other_side_closed_and_loses_nothing(closing, publish_to, short_pauses):
    def take_one(connection):
        stream = connection.makefile("rb")
        server.messages.append(msgspec.msgpack.decode(stream.read(struct.unpack("<Q", stream.read(8))[0])))
        return server.connections < 4

    server = closing(FrameServer(take_one))
    publisher = publish_to(f"tcp://{LOCAL}:{server.port}")
    for number in range(10):
        publisher.publish_samples([outgoing(number)])
        wait_until(lambda number=number: publisher.state()[:3] == (number + 1, 0, 0))
        wait_until(lambda number=number: f"id-{number}" in server.ids())
    assert sorted(set(server.ids())) == sorted(f"id-{number}" for number in range(10))
    assert server.connections >= 4


def test_tcp_closed_early_is_sent_again(closing, publish_to, short_pauses):
    """The first connections are closed with what came unread: that is reset, and counts as not sent."""

    def close_early(connection):
        if server.connections > 2:
            return False
        connection.recv(1)
        return True

    server = closing(FrameServer(close_early))
    publisher = publish_to(f"tcp://{LOCAL}:{server.port}")
    publisher.publish_samples([outgoing(number) for number in range(300)])
    wait_until(lambda: publisher.state() == (300, 0, 0, "") and len(server.messages) >= 300)
    assert server.ids()[-300:] == [f"id-{number}" for number in range(300)]


def test_tcp_that_is_away_for_a_while_gets_everything(closing, publish_to, short_pauses):
    with socket.create_server((LOCAL, 0)) as free:
        port = port_of(free)
    publisher = publish_to(f"tcp://{LOCAL}:{port}")
    publisher.publish_samples([outgoing(number) for number in range(30)])
    wait_until(lambda: publisher.state().error == "Connection refused")
    server = closing(FrameServer(port=port))
    wait_until(lambda: publisher.state() == (30, 0, 0, "") and len(server.messages) == 30)


def test_tcp_to_one_that_does_not_read_fails_in_time_and_keeps_what_waits(closing, publish_to, short_pauses):
    listener = closing(socket.create_server((LOCAL, 0)))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    publisher = publish_to(f"tcp://{LOCAL}:{port_of(listener)}?timeout=0.2")
    publisher.publish_samples([outgoing(number, metadata={"a": "x" * 50_000}) for number in range(300)])
    wait_until(lambda: publisher.state().error)
    assert sum(publisher.state()[:3]) == 300
    assert publisher.state().dropped == 0
