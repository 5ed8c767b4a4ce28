"""A node with a valid login on the broker and one valid key: nothing gets into the store in another's name, and the worker lives on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import msgspec
import pytest
from amqp.exceptions import NotFound
from backports import zstd
from django.db import connection
from django.utils import timezone
from kombu import Exchange, Producer

from config.celery import app
from metering.messages import Resource, Sample, SealedBatch, derive_batch_id
from metering.models import AgentKey, Batch, ParkedBatch, Quarantine
from metering.models import Sample as StoredSample
from tests.support.agents import CPU, EnrolledAgent, now_microseconds, some_samples
from tests.support.proof import assert_stored_once
from tests.support.roles import Role, Stage, wait_until
from tests.support.stacks import TRANSPORTS, Broker, Stack


def sign_again(mallory: EnrolledAgent, batch: SealedBatch, *, body: bytes | None = None, **header: object) -> bytes:
    """The batch with another header or body, and a signature of Mallory's that fits it."""
    header_bytes = msgspec.json.encode(msgspec.structs.replace(batch.header, **header))
    forged = batch._replace(header_bytes=header_bytes, signature=mallory.key.sign(header_bytes))
    return (forged._replace(body=body) if body is not None else forged).to_bytes()


def bombs(mallory: EnrolledAgent) -> dict[bytes, str]:
    """Bodies of few bytes that unpack to many: one that says so and one that does not."""
    batch = mallory.seal(some_samples(1))
    spaces = zstd.compress(b" " * 60_000_000 + b"{}")
    hidden = zstd.compress(bytes(2_000_000_000))
    return {
        sign_again(
            mallory, batch, body=spaces, body_sha256=sha256(spaces).hexdigest(), body_bytes=60_000_002
        ): "malformed",
        sign_again(
            mallory, batch, body=hidden, body_sha256=sha256(hidden).hexdigest(), body_bytes=1000
        ): "tampered_body",
    }


def forgeries(mallory: EnrolledAgent, alice: EnrolledAgent) -> dict[bytes, str]:
    """Messages that only Mallory has a reason to send, and why each is refused."""
    own, of_alice = mallory.seal(some_samples(1, source="m")), alice.seal(some_samples(1))
    stranger = EnrolledAgent("stranger", enroll=False)
    revoked = EnrolledAgent("revoked")
    AgentKey.objects.filter(pk=revoked.row.pk).update(revoked_at=timezone.now())
    ahead = now_microseconds() + 3_600_000_000
    id_of_alice = derive_batch_id(agent=alice.name, source="compute", due=own.header.due, unit="0")
    tampered = of_alice._replace(body=own.body).to_bytes()
    longer = of_alice.to_bytes() + b"\x00"
    header = of_alice.header_bytes.replace(b'"count":1', b'"count":1 ')
    return {
        mallory.message(some_samples(1, source="m"), agent=alice.name): "unknown_key",
        sign_again(mallory, own, id=id_of_alice): "malformed",
        sign_again(mallory, own, key=alice.key.public.id): "bad_signature",
        sign_again(mallory, of_alice): "bad_signature",
        of_alice._replace(header_bytes=header).to_bytes(): "bad_signature",
        tampered: "tampered_body",
        longer: "tampered_body",
        stranger.message(some_samples(1)): "unknown_key",
        revoked.message(some_samples(1)): "key_not_valid",
        mallory.message(some_samples(1, source="openstack")): "out_of_scope",
        mallory.message(some_samples(1, source="m", project="p2")): "out_of_scope",
        mallory.message(some_samples(1, source="m", project=None)): "out_of_scope",
        mallory.message(some_samples(1, source="m"), made=ahead): "clock_skew",
        mallory.message(some_samples(1, source="m"), due=ahead): "clock_skew",
        mallory.message(some_samples(1, source="m", at=ahead * 2)): "time_out_of_bounds",
        mallory.message(some_samples(1, source="m", at=0)): "time_out_of_bounds",
        **bombs(mallory),
    }


def collector(stage: Stage, stack: Stack, **changes: str) -> Role:
    return stage.worker("collector", environment=stage.environment(**stack.environment(**changes)))


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_nothing_gets_into_the_store_in_another_name(stage: Stage, stack: Stack) -> None:
    alice = EnrolledAgent("alice")
    mallory = EnrolledAgent("mallory", sources=["m"], projects=["p1"])
    honest = [alice.message(some_samples(3)), mallory.message(some_samples(2, source="m"))]
    evil = forgeries(mallory, alice)
    worker = collector(stage, stack).start().await_ready()
    pid = worker.pid
    # Replaying what Alice sent changes nothing, before or after.
    stack.broker.send(*honest, *evil, honest[0], honest[0])
    last = alice.message(some_samples(1))
    stack.broker.send(last)

    wait_until(lambda: Batch.objects.count() == 3, seconds=60, what="the last honest batch is stored")
    kept = {bytes(row.message): row.reason for row in Quarantine.objects.all()}
    assert kept == evil
    assert_stored_once([*honest, last])
    assert AgentKey.objects.get(agent__name="alice").duplicate_count == 2
    assert worker.is_alive()
    assert worker.pid == pid
    assert _peak_megabytes(pid) < 700, "a bomb was unpacked"


def _peak_megabytes(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:  # noqa: PTH123
        [line] = [line for line in status if line.startswith("VmHWM")]
    return int(line.split()[1]) // 1024


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_remote_commands_do_not_reach_a_worker(stage: Stage, stack: Stack) -> None:
    worker = collector(stage, stack).start().await_ready()
    agent = EnrolledAgent()
    with stack.broker.connect() as client:
        for command, arguments in (
            ("shutdown", {}),
            ("revoke", {"task_id": "x", "terminate": True}),
            ("pool_restart", {"modules": ["os"]}),
            ("pool_shrink", {"n": 1}),
            ("cancel_consumer", {"queue": "collector"}),
            ("add_consumer", {"queue": "store"}),
            ("rate_limit", {"task_name": "metering.collect", "rate_limit": "1/h"}),
            ("time_limit", {"task_name": "metering.collect", "hard": 0.001}),
        ):
            app.control.broadcast(command, arguments=arguments, connection=client)
            Producer(client.channel(), Exchange("celery.pidbox", type="fanout")).publish(
                {"method": command, "arguments": arguments, "destination": None},
                declare=[Exchange("celery.pidbox", type="fanout")],
            )
    batches = [agent.message(some_samples(1)) for _ in range(3)]
    stack.broker.send(*batches)
    wait_until(lambda: Batch.objects.count() == 3, what="it goes on collecting")
    assert worker.is_alive()


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_samples_of_many_weeks_cost_few_partitions_or_are_refused(
    stage: Stage, stack: Stack, old_partitions_gone: None
) -> None:
    mallory = EnrolledAgent("mallory")
    start = datetime(2010, 1, 5, tzinfo=UTC)
    weeks = [int((start + timedelta(weeks=number)).timestamp()) * 1_000_000 for number in range(700)]
    samples = [Sample(CPU, Resource("r", "s"), week, "1") for week in weeks]
    everywhere, wide = mallory.message(samples), mallory.message(samples[:40])
    other = EnrolledAgent("alice").message(some_samples(2))
    environment = stage.environment(**stack.environment())
    for queue in ("collector", "store"):
        stage.worker(queue, environment=environment).start()
    before = _count_partitions()
    stack.broker.send(everywhere, wide, other)
    wait_until(lambda: Batch.objects.count() == 2, seconds=60, what="both bearable batches are stored")
    assert bytes(Quarantine.objects.get(reason="too_many_weeks").message) == everywhere
    assert _count_partitions() == before + 40
    assert StoredSample.objects.count() == 42
    assert not ParkedBatch.objects.exists()


def _count_partitions() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relispartition AND relkind = 'r'")
        return cursor.fetchone()[0]


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_server_roles_are_out_of_reach_on_a_broker_of_their_own(
    stage: Stage, stack: Stack, old_partitions_gone: None, own_broker
) -> None:
    """The shared broker carries batches and nothing else: no queue of the server's roles is there, and none is served."""
    private = own_broker.start()
    environment = stage.environment(**stack.environment(CELOMETER_SERVER_BROKER_URL=private))
    collecting, _ = [
        stage.worker(queue, environment=environment).start().await_ready() for queue in ("collector", "store")
    ]
    with stack.broker.connect() as client:
        assert not _has_queue(stack.broker, client, "store")
        # Mallory makes one: nobody listens.
        app.send_task("metering.housekeep", queue="store", retry=False, connection=client)
    old = EnrolledAgent().message(some_samples(1, at=int(datetime(2011, 3, 3, tzinfo=UTC).timestamp()) * 1_000_000))
    stack.broker.send(old)
    wait_until(lambda: Batch.objects.count() == 1, what="collector and housekeeping speak on the server's own broker")
    assert stack.broker.depth("store") == 1
    assert collecting.is_alive()


def _has_queue(broker: Broker, client, name: str) -> bool:
    if broker.kind == "redis":
        return any(name.encode() in key for key in broker.client.scan_iter())
    try:
        client.channel().queue_declare(name, passive=True)
    except NotFound:
        return False
    return True


def test_garbage_on_the_ticks_neither_ends_nor_silences_a_node(stage: Stage, stack: Stack) -> None:
    environment = stage.environment(
        CELOMETER_BROKER_URL=stack.broker.url,
        CELOMETER_POLL_INTERVAL="1",
        CELOMETER_NODE="node-1",
        CELOMETER_LIBVIRT_URI="test:///default",
    )
    node = stage.worker("compute", environment=environment).start().await_ready()
    with stack.broker.connect() as client:
        exchange = Exchange("compute", type="fanout")
        for number, headers in enumerate(
            ({}, {"task": "no.such"}, {"task": "agents.poll", "eta": "soon"}, {"task": 7})
        ):
            for content_type in ("application/json", "application/x-python-serialize"):
                Producer(client.channel(), exchange).publish(
                    b"{%d" % number,
                    serializer=None,
                    content_type=content_type,
                    content_encoding="utf-8",
                    headers=headers,
                    routing_key="compute",
                )
        if stack.broker.kind == "redis":
            [channel] = stack.broker.client.pubsub_channels() or [b"/15.compute/compute"]
            for item in (
                b"garbage",
                b"[]",
                b"{}",
                b"\xff",
                b'{"__type__": "decimal", "__value__": "x"}',
                b"[" * 50_000,
            ):
                stack.broker.client.publish(channel, item)
    seen = node.output().count("polled compute")
    wait_until(lambda: node.output().count("polled compute") >= seen + 3, what="the node polls on")
    assert node.is_alive()
