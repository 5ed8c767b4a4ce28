"""``kafka://``, against the brokers that librdkafka brings for tests: the real protocol over real sockets."""

from __future__ import annotations

import builtins
import importlib
import json
import socket
import sys
from decimal import Decimal

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from agents.pipeline.publishers.registry import Publishers

from .things import AT_TEXT, event, given, outgoing, wait_until


class Cluster:
    """One broker, alive for as long as the client that made it."""

    def __init__(self):
        self._owner = Producer({"bootstrap.servers": "none", "test.mock.num.brokers": 1, "log_level": 0})
        (broker,) = self._owner.list_topics(timeout=20).brokers.values()
        self.place = f"{broker.host}:{broker.port}"

    def records(self, count, topic="ceilometer"):
        """The first records of a topic, as (key, decoded value)."""
        consumer = Consumer({"bootstrap.servers": self.place, "group.id": "tests"})
        partitions = consumer.list_topics(topic, timeout=20).topics[topic].partitions
        consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in partitions])
        found = []
        try:
            wait_until(lambda: _read(consumer, found) >= count)
        finally:
            consumer.close()
        return found


def _read(consumer, found):
    records = [record for record in consumer.consume(1000, timeout=0.1) if not record.error()]
    found += [(record.key(), json.loads(record.value(), parse_float=Decimal)) for record in records]
    return len(found)


@pytest.fixture
def cluster():
    return Cluster()


def test_samples_are_metering_messages_and_events_follow_with_every_digit(cluster, publish_to):
    publisher = publish_to(f"kafka://{cluster.place}?topic=samples")
    publisher.publish_samples([outgoing(1, volume="0.10000000000000000000000001", metadata={"a": {"b": 1}})])
    publisher.publish_events([event(1)])
    wait_until(lambda: publisher.state() == (2, 0, 0, ""))
    records = sorted(cluster.records(2, "samples"), key=lambda record: record[0] is None)
    assert records[0] == (
        b"vm-1",
        {
            "source": "openstack",
            "counter_name": "cpu",
            "counter_type": "gauge",
            "counter_unit": "ns",
            "counter_volume": Decimal("0.10000000000000000000000001"),
            "user_id": "u1",
            "project_id": "p1",
            "resource_id": "vm-1",
            "timestamp": AT_TEXT,
            "resource_metadata": {"a": {"b": 1}},
            "message_id": "id-1",
            "message_signature": "",
        },
    )
    assert records[1][0] is None and records[1][1]["message_id"] == "message-1"


def test_samples_of_one_resource_stay_in_order(cluster, publish_to):
    publisher = publish_to(f"kafka://{cluster.place}")
    for number in range(1000):
        publisher.publish_samples([outgoing(number, resource=f"vm-{number % 5}")])
    wait_until(lambda: publisher.state() == (1000, 0, 0, ""))
    numbers = {f"vm-{n}".encode(): [] for n in range(5)}
    for key, message in cluster.records(1000):
        numbers[key].append(int(message["message_id"].removeprefix("id-")))
    assert all(found == sorted(found) and len(found) == 200 for found in numbers.values())


def test_brokers_that_are_away_keep_everything_waiting_and_say_why(publish_to, short_pauses):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    publisher = publish_to(f"kafka://127.0.0.1:{port}?timeout=0.5&max_queue_length=10")
    publisher.publish_samples([outgoing(number) for number in range(25)])
    wait_until(lambda: publisher.state().error)
    assert given(publisher) == 25 and publisher.state()[:3] == (0, 10, 15)
    wait_until(lambda: "Connection refused" in publisher.state().error)


@pytest.mark.parametrize(("query", "tries"), [("max_retry=1", 2), ("policy=drop", 1)])
def test_a_record_is_given_up_as_the_url_says(publish_to, short_pauses, caplog, query, tries):
    publisher = publish_to(f"kafka://127.0.0.1:1?timeout=0.3&{query}")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state()[:3] == (0, 0, 1))
    wait_until(lambda: f"{tries} tries failed" in caplog.text)


def test_a_record_too_large_for_a_broker_is_dropped_and_the_others_go(cluster, publish_to):
    publisher = publish_to(f"kafka://{cluster.place}")
    publisher.publish_samples([outgoing(1), outgoing(2, metadata={"a": "x" * 2_000_000}), outgoing(3)])
    wait_until(lambda: publisher.state()[:3] == (2, 0, 1))
    assert [message["message_id"] for _, message in cluster.records(2)] == ["id-1", "id-3"]


def test_closing_is_bounded_when_no_broker_answers(closing, publish_to):
    silent = closing(socket.create_server(("127.0.0.1", 0)))
    publisher = publish_to(f"kafka://127.0.0.1:{silent.getsockname()[1]}?timeout=300")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher._buffer._in_flight)
    publisher.close(0.3)
    assert publisher.state()[:3] == (0, 0, 1)


def test_without_the_library_an_operator_is_told_in_one_clear_line(monkeypatch, caplog):
    module = "agents.pipeline.publishers.kafka"
    real_import = builtins.__import__

    def import_without(name, *arguments):
        if name.startswith("confluent_kafka"):
            raise ImportError(name)
        return real_import(name, *arguments)

    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(builtins, "__import__", import_without)
    publishers = Publishers()
    publishers.send_samples({"kafka://host": [outgoing(1)]})
    monkeypatch.undo()
    assert publishers.states() == {
        "kafka://host": (0, 0, 1, "the library confluent-kafka is missing: pip install -r requirements/kafka.txt")
    }
    assert len(caplog.records) == 1
    importlib.import_module(module)
