"""What an operator's pipelines make of polled samples and of notifications, with real processes and real publishers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest

from metering.messages import Bundle, Letter, PrivateKey, seal_bundle
from metering.models import Event, Quarantine, Sample
from tests.support.agents import EnrolledAgent, some_samples
from tests.support.libvirt_file import write_crowd
from tests.support.notified import Metered, publish_bodies, wired
from tests.support.notifier import Bus
from tests.support.roles import Stage, wait_until
from tests.support.stacks import Stack

pytestmark = pytest.mark.parametrize("broker", ["embedded"], indirect=True)

DELTAS = """
sources:
  - {name: all, meters: ["*"], sinks: [store]}
  - {name: used, meters: [cpu], sinks: [used]}
sinks:
  - {name: store, publishers: ["collector://"]}
  - name: used
    transformers:
      - {name: delta, parameters: {target: {name: cpu.used}}}
    publishers: ["collector://"]
"""


def volume(number: int, size: int = 1) -> bytes:
    return wired(
        {
            "message_id": f"message-{number}",
            "event_type": "volume.create.end",
            "publisher_id": "volume.stor-02",
            "priority": "INFO",
            "timestamp": datetime.now(UTC).replace(tzinfo=None).isoformat(" "),
            "payload": {"volume_id": f"volume-{number}", "size": size, "tenant_id": "p1", "user_id": "u1"},
        }
    )


class Receiver(ThreadingHTTPServer):
    """An HTTP server that keeps what it is sent."""

    def __init__(self) -> None:
        self.received: list[Any] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        super().__init__(("127.0.0.1", 0), Handler)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_polled_samples_are_stored_untouched_and_what_is_derived_beside_them(
    stage: Stage, stack: Stack, cloud_bus: Bus
) -> None:
    metered = Metered(stage, stack, cloud_bus)
    metered.write("pipeline.yaml", DELTAS)
    metered.start()
    polling = {
        **metered.environment,
        "CELOMETER_POLL_INTERVAL": "1",
        "CELOMETER_LIBVIRT_URI": write_crowd(stage.directory / "node.xml", 3),
    }
    node = stage.worker("compute", environment=polling).start()
    wait_until(lambda: Sample.objects.filter(meter__name="cpu.used").count() >= 9, what="derived samples")
    node.end()
    metered.await_quiet()
    rows = list(
        Sample.objects.order_by("timestamp").values_list("meter__name", "resource__resource_id", "timestamp", "volume")
    )
    measured = {(resource, at): value for meter, resource, at, value in rows if meter == "cpu"}
    derived = {(resource, at): value for meter, resource, at, value in rows if meter == "cpu.used"}
    assert len(rows) - len(measured) - len(derived) > 0, "other meters are there"
    expected = {}
    for resource in {resource for resource, _ in measured}:
        times = sorted(at for of, at in measured if of == resource)
        for before, after in pairwise(times):
            expected[resource, after] = measured[resource, after] - measured[resource, before]
    assert derived == expected


def test_what_a_node_polled_is_derived_from_whoever_sends_it(stage: Stage, stack: Stack, cloud_bus: Bus) -> None:
    """A host's roles share its outbox: here the transform role sends what a command polled."""
    metered = Metered(stage, stack, cloud_bus)
    metered.write("pipeline.yaml", DELTAS)
    metered.start()
    polling = {
        **metered.environment,
        "CELOMETER_POLL_INTERVAL": "1",
        "CELOMETER_LIBVIRT_URI": write_crowd(stage.directory / "node.xml", 1),
    }
    for _ in range(2):
        stage.manage("poll", environment=polling)
    wait_until(lambda: Sample.objects.filter(meter__name="cpu.used").count() == 1, what="what is derived")


def test_a_publisher_that_is_dead_hurts_neither_the_collector_nor_another(
    stage: Stage, stack: Stack, cloud_bus: Bus, receiver: Receiver
) -> None:
    metered = Metered(stage, stack, cloud_bus, exchanges="cinder")
    urls = ["collector://", "http://127.0.0.1:9/dead", f"http://127.0.0.1:{receiver.server_port}/"]
    for name, wanted in (("pipeline.yaml", "meters"), ("event_pipeline.yaml", "events")):
        document = {
            "sources": [{"name": "all", wanted: ["*"], "sinks": ["places"]}],
            "sinks": [{"name": "places", "publishers": urls}],
        }
        metered.write(name, json.dumps(document))
    metered.start()
    publish_bodies(cloud_bus, "cinder", [volume(number) for number in range(50)])
    wait_until(lambda: Event.objects.count() == 50 and Sample.objects.count() == 50, what="all are in the store")
    wait_until(lambda: len(receiver.received) == 100, what="samples and events at the other publisher")
    samples = [entry for entry in receiver.received if "counter_name" in entry or entry.get("name") == "volume.size"]
    assert len(samples) == 50


def test_a_bundle_of_a_stranger_makes_no_measurement(stage: Stage, stack: Stack, cloud_bus: Bus) -> None:
    """Anybody with a login on the broker can put tasks on the queue."""
    metered = Metered(stage, stack, cloud_bus, exchanges="cinder").start()
    forged = seal_bundle(Bundle("b", 1, "", [Letter(volume(1))]), PrivateKey.generate())
    batch = EnrolledAgent("node-9").seal(some_samples(1)).to_bytes()
    for task, message in (
        ("agents.convert", forged),
        ("agents.derive", batch),
        ("agents.convert", b"garbage"),
        ("os.system", b"ls"),
    ):
        stack.broker.send_task(task, message, queue="transform")
    wait_until(lambda: Quarantine.objects.count() == 4, what="all four are in the quarantine")
    reasons = sorted(Quarantine.objects.values_list("reason", flat=True))
    assert reasons == ["bad_bundle", "bad_bundle", "bad_bundle", "unknown_task"]
    assert not Sample.objects.exists()
    publish_bodies(cloud_bus, "cinder", [volume(2)])
    wait_until(lambda: Sample.objects.count() == 1, what="the worker lives on")
    assert metered.transform.is_alive()


def test_a_sample_made_by_hand_goes_the_way_of_all(stage: Stage, stack: Stack, cloud_bus: Bus) -> None:
    metered = Metered(stage, stack, cloud_bus, exchanges="cinder").start()
    printed = stage.manage(
        *("send_sample", "-n", "apples", "-l", "12.50", "-U", "piece", "-r", "tree-1", "-p", "p1", "-m", '{"row": 3}'),
        environment=metered.environment,
    )
    assert "to the collector: apples = 12.50 piece (gauge) of tree-1" in printed
    wait_until(lambda: Sample.objects.exists(), what="it is stored")
    sample = Sample.objects.get()
    assert (sample.meter.name, sample.resource.resource_id, str(sample.volume)) == ("apples", "tree-1", "12.50")


def test_a_notification_out_of_a_file_is_shown_and_goes_the_way_of_all(
    stage: Stage, stack: Stack, cloud_bus: Bus
) -> None:
    metered = Metered(stage, stack, cloud_bus, exchanges="cinder").start()
    file = stage.directory / "notification.json"
    file.write_text(json.dumps({"event_type": "volume.create.end", "payload": {"volume_id": "v", "size": 7}}))
    printed = stage.manage("send_notification", str(file), "--print", environment=metered.environment)
    assert "volume.size = 7 GiB (gauge) of v" in printed
    printed = stage.manage("send_notification", str(file), environment=metered.environment)
    assert "sent: 1 to the transform role" in printed
    wait_until(lambda: Sample.objects.count() == 1 and Event.objects.count() == 1, what="only the second is stored")
