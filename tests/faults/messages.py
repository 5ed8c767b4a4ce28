"""Messages that stock Celery would lose, or that are meant to harm: what is sent, and what must become of it."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import amqp
from kombu import Connection, Producer

from config.serialization import BATCH_CONTENT_TYPE
from metering.messages import Resource, Sample
from tests.support.agents import CPU, EnrolledAgent, now_microseconds, some_samples

__all__ = ["Case", "cases_for_any_broker", "cases_for_rabbitmq", "cases_for_redis", "kombu_item"]

COLLECT = "metering.collect"
STORED = "stored"


@dataclass
class Case:
    """One message. ``expected`` is STORED or the reason of its quarantine; ``kept`` the bytes that the quarantine must hold."""

    name: str
    expected: str
    kept: bytes
    send: Callable[[Connection], None] = field(repr=False)


def _published(name: str, expected: str, body: bytes, **options: Any) -> Case:
    """A message that kombu publishes straight to the collector's queue."""

    def send(client: Connection) -> None:
        Producer(client.channel()).publish(body, routing_key="collector", exchange="", serializer=None, **options)

    return Case(name, expected, body, send)


def cases_for_any_broker(agent: EnrolledAgent) -> Iterator[Case]:
    yield from _foreign_tasks()
    yield from _steering_headers(agent)
    yield from _refused_batches(agent)


def _foreign_tasks() -> Iterator[Case]:
    collect = {"task": COLLECT, "id": "1"}
    arguments = json.dumps([["x"], {}, {"callbacks": None}]).encode()
    for name, content_type, body in (
        ("JSON that cannot be decoded", "application/json", b"{not json"),
        ("arguments in JSON", "application/json", arguments),
        ("a pickle", "application/x-python-serialize", b"\x80\x04K\x01."),
        ("YAML", "application/x-yaml", b"[[x], {}, {}]"),
        ("text", "text/plain", b"hello"),
        ("an unknown content type", "application/x-never-heard-of", b"\x00\xff"),
        ("no body", "application/json", b""),
    ):
        yield _published(
            name, "content_type", body, content_type=content_type, content_encoding="utf-8", headers=collect
        )
    json_options = {"content_type": "application/json", "content_encoding": "utf-8"}
    protocol_1 = json.dumps({"task": COLLECT, "id": "2", "args": ["x"], "kwargs": {}}).encode()
    yield _published("Celery's protocol 1", "unknown_task", protocol_1, **json_options, headers={})
    yield _published(
        "an unknown task", "unknown_task", b"[[1]]", **json_options, headers={"task": "no.such", "id": "3"}
    )
    for task in ("metering.housekeep", "celery.chain", "celery.backend_cleanup", "agents.poll"):
        body = json.dumps([[], {}, {"for": task}]).encode()
        yield _published(f"the task {task}", "unknown_task", body, **json_options, headers={"task": task, "id": "4"})
    for number, task in enumerate((None, 7, ["x"], {"x": 1}, True)):
        body = b"no task %d" % number
        yield _published(f"the task {task!r}", "unknown_task", body, **json_options, headers={"task": task, "id": "5"})


def _steering_headers(agent: EnrolledAgent) -> Iterator[Case]:
    """Real batches with headers that Celery would obey: they are stored at once all the same."""
    far = (datetime.now(UTC) + timedelta(days=3650)).isoformat()
    past = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    signature = {"task": "metering.housekeep", "args": [], "kwargs": {}, "options": {}, "subtask_type": None}
    for name, headers in (
        ("expired", {"expires": past}),
        ("an expiry that is no date", {"expires": "soon"}),
        ("far in the future", {"eta": far}),
        ("an eta that is no date", {"eta": "9" * 400}),
        ("retried without end", {"retries": 2**31, "timelimit": [0.001, 0.001]}),
        (
            "with callbacks",
            {"callbacks": [signature], "errbacks": [signature], "chain": [signature], "chord": signature},
        ),
        ("stamped", {"stamped_headers": ["x"], "stamps": {"x": 1}, "group": "g", "group_index": "no number"}),
        ("odd ids", {"id": None, "root_id": [1], "parent_id": 3, "origin": 7, "argsrepr": 5, "ignore_result": "yes"}),
        ("other language", {"lang": "c++", "shadow": "x", "replaced_task_nesting": "x", "meth": "__init__"}),
    ):
        options = {"content_type": BATCH_CONTENT_TYPE, "content_encoding": "binary"}
        yield _published(
            name, STORED, agent.message(some_samples(1)), headers={"task": COLLECT, "id": "6", **headers}, **options
        )
    for encoding in ("no-such-codec", "utf-16", ""):
        yield _published(
            f"the encoding {encoding!r}",
            STORED,
            agent.message(some_samples(1)),
            headers={"task": COLLECT},
            content_type=BATCH_CONTENT_TYPE,
            content_encoding=encoding,
        )
    yield _published(
        "odd properties",
        STORED,
        agent.message(some_samples(1)),
        headers={"task": COLLECT},
        content_type=BATCH_CONTENT_TYPE,
        content_encoding="binary",
        correlation_id="x" * 200,
        reply_to="collector",
        priority=9,
        expiration=3600,
    )


def _refused_batches(agent: EnrolledAgent) -> Iterator[Case]:
    """What comes as a batch and is none, or one that PostgreSQL cannot hold."""
    options = {"headers": {"task": COLLECT}, "content_type": BATCH_CONTENT_TYPE, "content_encoding": "binary"}
    for name, body in (("garbage as a batch", b"\x00\x01garbage"), ("nothing as a batch", b"")):
        yield _published(name, "malformed", body, **options)
    random = Random(7)
    wide = ["".join(chr(random.randrange(0x10000, 0x10FFFF)) for _ in range(255)) for _ in range(4)]
    nested: Any = 1
    for _ in range(400):
        nested = {"a": nested}
    large = Resource(*wide, metadata={})
    for name, expected, sample in (
        ("names too long for an index", "store_refused", Sample(CPU, large, now_microseconds(), "1")),
        ("deep metadata", STORED, Sample(CPU, Resource("deep", "s", metadata=nested), now_microseconds(), "1")),
        ("the longest number", STORED, Sample(CPU, Resource("r", "s"), now_microseconds(), "9" * 64)),
        ("the smallest number", STORED, Sample(CPU, Resource("r", "s"), now_microseconds(), "0." + "0" * 61 + "1")),
    ):
        yield _published(name, expected, agent.message([sample]), **options)


def kombu_item(body: bytes, **changes: Any) -> dict[str, Any]:
    """What kombu writes on a Redis list for a batch."""
    return {
        "body": base64.b64encode(body).decode(),
        "content-type": BATCH_CONTENT_TYPE,
        "content-encoding": "binary",
        "headers": {"task": COLLECT, "id": "7"},
        "properties": {
            "body_encoding": "base64",
            "delivery_tag": "t",
            "delivery_info": {"exchange": "", "routing_key": "collector"},
            "delivery_mode": 2,
            "priority": 0,
        },
        **changes,
    }


def cases_for_redis(agent: EnrolledAgent) -> Iterator[Case]:
    """Items that anybody with a login may push onto the list, past kombu."""
    batch = agent.message(some_samples(1))
    good = kombu_item(batch)
    properties = good["properties"]
    for name, item in (
        ("text", b"hello"),
        ("nothing", b""),
        ("binary", bytes(range(256))),
        ("a number", b"7"),
        ("a list", b"[]"),
        ("a string", b'"x"'),
        ("an object without properties", b'{"body": ""}'),
        ("deeply nested", b"[" * 100_000),
        ("a number without end", b"1" * 10_000),
        ("a type of kombu's", b'{"__type__": "decimal", "__value__": "no number"}'),
        ("half a character", json.dumps({**good, "body": "\ud800", "properties": {}}).encode()),
        ("a body that is a list", json.dumps({**good, "body": []}).encode()),
        ("a body that is no base64", json.dumps({**good, "body": "%%%"}).encode()),
        (
            "an encoding nobody has",
            json.dumps({**good, "properties": {**properties, "body_encoding": "rot13"}}).encode(),
        ),
        ("headers that are a list", json.dumps({**good, "headers": ["task"]}).encode()),
        ("no headers", json.dumps({**good, "headers": None}).encode()),
        ("no content type", json.dumps({**good, "content-type": None}).encode()),
        ("a compressed body", json.dumps({**good, "headers": {"task": COLLECT, "compression": "zlib"}}).encode()),
    ):
        yield Case(f"on the list: {name}", "unknown_task", item, lambda client, item=item: _push(client, item))
    for name, changes in (
        ("a stolen delivery tag", {}),
        ("a priority of its own", {"properties": {**properties, "priority": "high", "delivery_info": 5}}),
        ("an encoding that is a list", {"content-encoding": [1]}),
    ):
        body = agent.message(some_samples(1))
        item = json.dumps(kombu_item(body, **changes)).encode()
        yield Case(f"on the list: {name}", STORED, body, lambda client, item=item: _push(client, item))
    headers = {"task": COLLECT + "\ud800", "\ud800\x00": {"a": ["\ud800"]}}
    item = json.dumps(kombu_item(b"surrogates", headers=headers)).encode()
    yield Case(
        "on the list: headers that no text column keeps", "unknown_task", b"surrogates", lambda c: _push(c, item)
    )


def _push(client: Connection, item: bytes) -> None:
    client.channel().client.lpush("collector", item)


def cases_for_rabbitmq(agent: EnrolledAgent) -> Iterator[Case]:
    """Messages with properties that no honest client sends."""
    batch = agent.message(some_samples(1))
    yield _raw("no properties", "unknown_task", b"bare")
    yield _raw("a content type that is no text", "unknown_task", b"type", content_type=b"\xff\xfe")
    yield _raw("an encoding that is no text", "unknown_task", b"encoding", content_encoding=b"\xff\xfe")
    yield _raw("a date after all calendars", "unknown_task", b"date", timestamp=2**62)
    yield _raw("headers that are no text", "unknown_task", b"headers", application_headers={b"\xff": b"\xfe\xff"})
    compressed = zlib.compress(batch)
    collect = {"task": COLLECT, "compression": "application/x-gzip"}
    yield _raw(
        "a compressed body", "malformed", compressed, content_type=BATCH_CONTENT_TYPE, application_headers=collect
    )
    bomb = zlib.compress(bytes(200_000_000))
    yield _raw("a bomb", "malformed", bomb, content_type=BATCH_CONTENT_TYPE, application_headers=collect)


def _raw(name: str, expected: str, body: bytes, **properties: Any) -> Case:
    def send(client: Connection) -> None:
        client.channel().basic_publish(amqp.Message(body, **properties), exchange="", routing_key="collector")

    return Case(f"published bare: {name}", expected, body, send)
