"""A bundle of notifications through the transform role: whatever one of them holds, the others are stored, and that one is told of."""

from __future__ import annotations

import json
import resource
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from agents.notifications.rules import rules_files
from agents.notifications.transform import Transform
from agents.notifications.unpacking import unpack
from agents.outbox import Outbox
from agents.pipeline.publishers.registry import Publishers
from agents.trust import TrustedKeys
from metering.messages import (
    Bundle,
    Event,
    EventBody,
    Letter,
    PrivateKey,
    Refusal,
    Sample,
    is_refusal,
    open_body,
    parse_batch,
    parse_refusal,
    seal_bundle,
)
from tests.support.notifications import DATA, DEFAULTS

VOLUME = json.loads((DATA / "legacy" / "volume.create.end.json").read_text())["payload"]
EXISTS = json.loads((DATA / "legacy" / "compute.instance.exists.json").read_text())


class Made(NamedTuple):
    """What lies in the outbox, read as a collector reads it."""

    samples: list[Sample]
    events: list[Event]
    refusals: list[Refusal]

    def volumes(self) -> list[str]:
        return [sample.resource.id for sample in self.samples if sample.meter.name == "volume.size"]


class Worker:
    def __init__(self, directory: Path, config: Path | None = None) -> None:
        self.key = PrivateKey.generate()
        self.outbox = Outbox(directory / "outbox.sqlite3", key=self.key, agent="mq-1", max_bytes=10**9)
        self.transform = Transform(
            outbox=self.outbox,
            key=self.key,
            trusted=TrustedKeys(self.key.public, directory / "trusted"),
            rules=rules_files(config, DEFAULTS),
            state=None,
            publishers=Publishers(),
            wake=lambda: None,
        )

    def convert(self, *bodies: bytes, compression: str = "") -> Made:
        letters = [Letter(body, compression=compression) for body in bodies]
        self.transform.convert(seal_bundle(Bundle("bundle-1", 1_773_480_401_000_000, "rabbit://mq", letters), self.key))
        return self.made()

    def convert_more(self, *bodies: bytes) -> list[Sample]:
        """The samples of a bundle, after others."""
        self.outbox.mark_sent([number for number, _ in self.outbox.unsent(limit=10_000)], now=0.0)
        letters = [Letter(body) for body in bodies]
        self.transform.convert(seal_bundle(Bundle("bundle-2", 1_773_480_401_000_000, "rabbit://mq", letters), self.key))
        return self.made().samples

    def made(self) -> Made:
        made = Made([], [], [])
        for _, message in self.outbox.unsent(limit=10_000):
            if is_refusal(message):
                made.refusals.append(parse_refusal(message))
                continue
            body = open_body(parse_batch(message))
            if isinstance(body, EventBody):
                made.events.extend(body.events)
            else:
                made.samples.extend(body.samples())
        return made


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return Worker(tmp_path)


def volume(id: str = "good", **fields: Any) -> bytes:
    """A notification that a volume was made; the volume's id is the notification's."""
    return wired(
        {
            "message_id": id,
            "event_type": "volume.create.end",
            "priority": "INFO",
            "timestamp": "2026-03-14 09:26:41.220517",
            "payload": VOLUME | {"volume_id": id},
        }
        | fields
    )


def wired(message: dict[str, Any]) -> bytes:
    return json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(message)}).encode()


def nested(levels: int) -> Any:
    return json.loads("[" * levels + "]" * levels)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"message_id": "a\0b"}, "message_id 'a\\x00b'"),
        ({"message_id": "a" * 256}, "message_id"),
        ({"event_type": ""}, "event_type ''"),
        ({"event_type": "x" * 256}, "event_type"),
        ({"event_type": "x\0"}, "event_type"),
        # A collector reads it with less of the stack left than we do: it would refuse the others with it.
        ({"payload": VOLUME | {"x": nested(300)}}, "deep"),
        ({"timestamp": "0001-01-01T00:00:00+14:00"}, "timestamp '0001"),
        ({"timestamp": "9999-12-31T23:59:59-14:00"}, "timestamp '9999"),
    ],
)
def test_a_notification_that_no_collector_would_take_is_refused_alone(
    worker: Worker, fields: dict[str, Any], told: str
) -> None:
    made = worker.convert(volume(), volume("bad", **fields))
    assert made.volumes() == ["good"]
    assert [event.id for event in made.events] == ["good"]
    assert [(refusal.reason, told in refusal.detail) for refusal in made.refusals] == [("bad_notification", True)]


def test_what_names_nova_s_instance_may_hold_nul_without_hurting_others(worker: Worker) -> None:
    """The key of both formats is made of names that others chose; a batch can carry no NUL."""
    made = worker.convert(volume(), wired(EXISTS | {"message_id": "m", "_context_request_id": "req-\0"}))
    assert made.volumes() == ["good"]
    assert {sample.meter.name for sample in made.samples} >= {"memory", "vcpus"}


def networks(count: int, **fields: Any) -> bytes:
    made = [{"id": f"net-{number}", "name": "n"} for number in range(count)]
    return volume("bulk", **{"event_type": "network.create.end", "payload": {"networks": made}} | fields)


def test_each_of_several_resources_is_an_event_however_long_the_message_id_is(worker: Worker) -> None:
    made = worker.convert(networks(12, message_id="m" * 255), volume())
    ids = {event.id for event in made.events if event.type == "network.create.end"}
    assert len(ids) == 12
    assert made.volumes() == ["good"]


def test_more_resources_than_a_request_can_make_are_refused_in_one_piece(worker: Worker) -> None:
    made = worker.convert(networks(10_001), volume())
    assert [event.id for event in made.events] == ["good"]
    assert "10001 networks" in made.refusals[0].detail


def test_an_event_outlives_a_payload_that_is_too_large_for_it(worker: Worker, caplog: pytest.LogCaptureFixture) -> None:
    made = worker.convert(volume("large", payload=VOLUME | {"volume_id": "large", "x": "y" * 1_100_000}))
    assert made.volumes() == ["large"]
    (event,) = made.events
    assert bytes(event.raw) == b"{}"
    assert ("resource_id", "large") in [(trait.name, trait.value) for trait in event.traits]
    assert "is left out, its event has the traits alone" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        # As many as Nova's quota allows, as long as it allows.
        {"metadata": {f"metering.{number:0246}": "\U0001f600" * 255 for number in range(128)}},
        {"metadata": {"metering.x": "a\0b"}},
        {"metadata": {"metering.x\0": "a"}},
        {"display_name": "a\0b"},
        {"display_name": "n" * 200_000},
    ],
    ids=["128 long", "NUL", "NUL in a key", "NUL in a name", "long name"],
)
def test_no_text_of_a_customer_s_makes_an_instance_free(worker: Worker, change: dict[str, Any]) -> None:
    plain = worker.convert(wired(EXISTS)).samples
    payload = EXISTS["payload"] | {"instance_id": "other"} | change
    changed = worker.convert_more(wired(EXISTS | {"message_id": "other", "payload": payload}))
    assert [(s.meter, s.volume) for s in changed if s.resource.id == "other"] == [(s.meter, s.volume) for s in plain]
    assert {"instance_host", "flavor.id", "status"} <= set(changed[-1].resource.metadata)


def test_what_is_released_and_refused_is_looked_at_each_time_it_is_released(tmp_path: Path) -> None:
    """Before it is mended, an operator may release it again and again; when it is, it must be stored."""
    worker = Worker(tmp_path)
    (refusal,) = worker.convert(volume(timestamp="yesterday")).refusals
    for count in (2, 3):
        worker.transform.convert(refusal.message)
        assert len(worker.made().refusals) == count


def test_a_message_that_no_broker_may_take_is_refused_by_its_start(worker: Worker) -> None:
    made = worker.convert(volume(), volume("large", payload={"x": "y" * 9_000_000}))
    assert made.volumes() == ["good"]
    assert "expected at most 8388608" in made.refusals[0].detail


def test_messages_that_unpack_to_much_more_than_they_are_leave_memory_for_the_others(worker: Worker) -> None:
    """A few hundred kilobytes on the bus are a gigabyte here, if all are unpacked at once."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    filler = {"payload": VOLUME | {"x": "y" * 900_000}, "_context_x": "y" * 2_000_000}
    bombs = [zlib.compress(volume(f"b-{number}", **filler), 1) for number in range(100)]
    made = worker.convert(*bombs, compression="application/x-gzip")
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert len(made.volumes()) == len(made.events) == 100
    assert grown_kib < 200 * 1024


def test_a_notification_of_more_samples_than_a_batch_may_hold_hurts_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = tmp_path / "config"
    config.mkdir()
    (config / "meters.yaml").write_text(
        "metric:\n"
        "- {name: '$.payload.many[*].name', event_type: many, type: gauge, unit: x, volume: 1, lookup: name, resource_id: $.payload.id}\n"
        "- {name: one, event_type: one, type: gauge, unit: x, volume: 1, resource_id: $.payload.id}\n"
    )
    worker = Worker(tmp_path, config)
    many = volume("many", event_type="many", payload={"id": "r", "many": [{"name": "n"} for _ in range(50_001)]})
    made = worker.convert(volume("one", event_type="one", payload={"id": "r"}), many)
    assert [sample.meter.name for sample in made.samples] == ["one"]
    (refusal,) = made.refusals
    assert refusal.reason == "internal_error" and "50001 samples" in refusal.detail


def test_a_bundle_under_an_unknown_key_is_refused_with_the_remedy(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    bundle = Bundle("bundle-1", 1_773_480_401_000_000, "rabbit://mq", [Letter(volume())])
    worker.transform.convert(seal_bundle(bundle, PrivateKey.generate()))
    (refusal,) = worker.made().refusals
    assert refusal.reason == "bad_bundle"
    assert f"one in {tmp_path}/trusted; put the listener's .pub file there, then release this" in refusal.detail


def test_what_has_been_through_the_pipelines_does_not_go_through_them_again(tmp_path: Path) -> None:
    """Whoever may read and write on our broker could have it derived from twice, under another key."""
    config = tmp_path / "config"
    config.mkdir()
    (config / "pipeline.yaml").write_text(
        "sources:\n- {name: all, meters: ['*'], sinks: [twice]}\nsinks:\n- name: twice\n  publishers: ['collector://']\n"
        "  transformers: [{name: unit_conversion, parameters: {target: {name: doubled, scale: 2}}}]\n"
    )
    worker = Worker(tmp_path, config)
    assert [sample.volume for sample in worker.convert(volume()).samples] == ["240"]
    for _, message in worker.outbox.unsent(limit=10):
        worker.transform.derive(message)
    assert [sample.volume for sample in worker.made().samples] == ["240"]
    assert {refusal.reason for refusal in worker.made().refusals} == {"bad_bundle"}


@pytest.mark.parametrize("pack", [bytes, zlib.compress], ids=["plain", "compressed"])
def test_neither_passwords_nor_tokens_are_kept(worker: Worker, pack: Any) -> None:
    """Not in events, not in samples, and not in what is refused."""
    secrets = {"adminPass": "hidden-1", "psk": 'hidden-2 \\" hidden-3', "nested": [{"auth_password": "hidden-4"}]}
    fields = {"payload": VOLUME | secrets | {"volume_id": "v"}, "_context_auth_token": "hidden-5"}
    bodies = [pack(volume(**fields)), pack(volume("bad", **fields, timestamp="?"))]
    made = worker.convert(*bodies, compression="" if pack is bytes else "application/x-gzip")
    assert made.volumes() == ["v"]
    (event,), (refusal,) = made.events, made.refusals
    assert b'"adminPass": "***"' in bytes(event.raw) and json.loads(bytes(event.raw))["size"] == 120
    assert b"hidden" not in bytes(event.raw)
    for secret in (b"hidden-1", b"hidden-2", b"hidden-4", b"hidden-5"):
        assert secret not in refusal.message
    assert b"display_name" in refusal.message


def test_a_message_id_cannot_be_the_key_of_something_else(worker: Worker) -> None:
    """Whoever may write on the cloud's bus must not keep what is derived of polled samples, or an instance's, out of the store."""
    stranger = unpack(Letter(volume("019f-batch/cpu_source:cpu_sink")))
    assert "/cpu_source" not in stranger.origin
    nova = unpack(Letter(wired(EXISTS | {"message_id": "m"})))
    assert nova.origin.startswith("nova/")
    assert unpack(Letter(volume(nova.origin[:255]))).origin != nova.origin
    assert unpack(Letter(volume("m-1"))).origin == "m-1"


def test_what_is_of_one_time_to_come_travels_together(worker: Worker) -> None:
    """A sender whose clock is ahead must not make a batch of each of its events."""
    ahead = f"{datetime.now(UTC) + timedelta(minutes=30):%Y-%m-%d %H:%M:%S}"
    worker.convert(networks(300, timestamp=ahead), volume())
    batches = [parse_batch(message).header for _, message in worker.outbox.unsent(limit=10_000)]
    assert [(batch.kind, batch.count) for batch in batches] == [("samples", 1), ("events", 300), ("events", 1)]
