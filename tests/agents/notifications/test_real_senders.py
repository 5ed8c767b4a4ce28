"""What real senders put on the bus is what our data files say that they do, and comes to the same samples and events."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from oslo_context.context import RequestContext
from pycadf import cadftaxonomy, eventfactory, host, reason, resource

from agents.notifications.definitions.events import EventDefinitions
from agents.notifications.definitions.meters import MeterDefinitions
from agents.notifications.notification import Notification
from agents.notifications.unpacking import unpack
from metering.messages import Letter
from tests.support.notifications import (
    CASES,
    LEGACY,
    VERSIONED,
    contained,
    make_samples,
    notification,
    row_of,
    shipped_events,
    shipped_meters,
    traits_of,
)
from tests.support.notifier import Bus, request_context, send_request

PAYLOAD = {"volume_id": "v-1", "size": 120}
USER, PROJECT = "a90d3b6c1e5f4a2b8c7d6e5f40312233", "4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa"


@pytest.fixture(scope="module")
def meters() -> MeterDefinitions:
    return shipped_meters()


@pytest.fixture(scope="module")
def events() -> EventDefinitions:
    return shipped_events()


def inner(body: bytes) -> dict[str, Any]:
    document = json.loads(body)
    return json.loads(document["oslo.message"]) if "oslo.message" in document else document


def received(bus: Bus, count: int = 1, *, priority: str = "info") -> list[Notification]:
    return [unpack(Letter(body)) for body in bus.bodies(f"notifications.{priority}", count)]


@pytest.mark.parametrize("driver", ["messagingv2", "messaging"])
def test_a_notification_lies_in_the_queue_of_its_topic_and_priority(cloud_bus: Bus, driver: str) -> None:
    sender = cloud_bus.notifier("cinder", publisher_id="volume.stor-02", driver=driver)
    sender.info(request_context(), "volume.create.end", PAYLOAD)
    sender.error(request_context(), "volume.create.error", PAYLOAD)
    sender.sample({}, "telemetry.polling", {"samples": []})
    for priority, event_type in [
        ("info", "volume.create.end"),
        ("error", "volume.create.error"),
        ("sample", "telemetry.polling"),
    ]:
        (body,) = cloud_bus.bodies(f"notifications.{priority}", 1)
        message = inner(body)
        assert ("oslo.version" in json.loads(body)) is (driver == "messagingv2")
        assert message["event_type"] == event_type
        assert message["priority"] == priority.upper()


def test_a_real_context_is_sent_without_its_token_and_a_dict_not_at_all(cloud_bus: Bus) -> None:
    sender = cloud_bus.notifier("cinder")
    sender.info(request_context(), "volume.create.end", PAYLOAD)
    sender.info({"project_id": "p"}, "volume.create.end", PAYLOAD)
    real, plain = map(inner, cloud_bus.bodies("notifications.info", 2))
    assert real["_context_project_id"] == PROJECT
    assert not real["_context_auth_token"]
    assert not [key for key in plain if key.startswith("_context_")]


def test_all_topics_get_the_same_message_id(cloud_bus: Bus) -> None:
    sender = cloud_bus.notifier("nova", topics=["notifications", "metering"])
    sender.info(request_context(), "compute.instance.create.end", {})
    ids = {inner(cloud_bus.bodies(f"{topic}.info", 1)[0])["message_id"] for topic in ("notifications", "metering")}
    assert len(ids) == 1


@pytest.mark.parametrize(
    "options", [{"amqp_durable_queues": True}, {"kombu_compression": "gzip"}, {"rabbit_quorum_queue": True}]
)
def test_services_may_be_configured_otherwise(cloud_bus: Bus, options: dict[str, Any]) -> None:
    cloud_bus.notifier("nova", **options).info(request_context(), "compute.instance.create.end", {})
    assert len(cloud_bus.bodies("notifications.info", 1)) == 1


class ServiceContext(RequestContext):
    """As services derive theirs: what they know beyond the base is sent, too."""

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "user_id": self.user_id}


def context_of(ctxt: dict[str, Any] | None) -> RequestContext | dict[str, Any]:
    """A real context with these ids; a service that passes none sends none."""
    if not ctxt:
        return {}
    return ServiceContext(
        user_id=ctxt.get("user_id"),
        project_id=ctxt.get("project_id"),
        request_id=ctxt.get("request_id"),
        overwrite=False,
    )


@pytest.mark.parametrize("driver", ["messagingv2", "messaging"])
def test_every_service_s_notification_by_the_real_notifier_comes_to_what_it_should(
    cloud_bus: Bus, driver: str, meters: MeterDefinitions, events: EventDefinitions
) -> None:
    sender = cloud_bus.notifier("cloud", driver=driver)
    # Heat's context has keys of its own; a service on oslo.context cannot send them.
    cases = [case.values[0] for case in CASES if "trustor_user_id" not in case.values[0].get("ctxt", {})]
    queues: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        priority = case.get("priority", "INFO").lower()
        send = getattr(sender.prepare(publisher_id=case["publisher_id"]), priority)
        send(context_of(case.get("ctxt")), case["event_type"], case["payload"])
        queues.setdefault(priority, []).append(case)
    for priority, sent in queues.items():
        for case, arrived in zip(sent, received(cloud_bus, len(sent), priority=priority), strict=True):
            assert arrived.event_type == case["event_type"]
            rows = map(row_of, make_samples(meters, arrived, []))
            assert sorted(rows, key=str) == sorted(case.get("samples", []), key=str), case["event_type"]
            expected = case.get("traits", {})
            if expected != "no event":
                assert contained(traits_of(events, arrived), expected) == expected, case["event_type"]
    assert set(queues) == {"info", "error", "sample"}


@pytest.mark.parametrize("path", [*LEGACY.values(), *VERSIONED.values()], ids=lambda path: path.stem)
def test_stored_notifications_sent_by_the_real_notifier_come_to_the_same(
    cloud_bus: Bus, path: Any, meters: MeterDefinitions
) -> None:
    message = json.loads(path.read_text())
    sender = cloud_bus.notifier("nova", publisher_id=message["publisher_id"])
    ids = {name: message.get(f"_context_{name}") for name in ("user_id", "project_id", "request_id")}
    send = getattr(sender, message["priority"].lower())
    send(context_of(ids), message["event_type"], message["payload"])
    (arrived,) = received(cloud_bus, priority=message["priority"].lower())
    expected = make_samples(meters, notification(message))
    assert list(map(row_of, make_samples(meters, arrived))) == list(map(row_of, expected))


@pytest.fixture
def swift(cloud_bus: Bus) -> Iterator[Callable[..., tuple[str, bytes]]]:
    """Sends requests to a storage proxy behind Swift's middleware: it reads what it is sent, and answers with what the test says."""
    answers: list[bytes] = []

    def storage(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return [answers.pop()]

    proxy = cloud_bus.swift_proxy(storage, ignore_projects="ignored")

    def request(method: str, path: str, body: bytes = b"", *, answer: bytes = b"", **environ: Any) -> tuple[str, bytes]:
        answers.append(answer)
        return send_request(proxy, method, path, body, **environ)

    yield request


ASKER = {"HTTP_X_USER_ID": USER, "HTTP_X_PROJECT_ID": PROJECT}


def test_swift_s_middleware_counts_requests_and_bytes(
    cloud_bus: Bus, swift: Callable[..., tuple[str, bytes]], meters: MeterDefinitions, events: EventDefinitions
) -> None:
    assert swift("PUT", f"/v1/AUTH_{PROJECT}/backups/db", b"123", answer=b"12345", **ASKER) == ("200 OK", b"12345")
    (arrived,) = received(cloud_bus)
    owner = [PROJECT, PROJECT, USER]
    samples = make_samples(meters, arrived)
    assert list(map(row_of, samples)) == [
        ["storage.api.request", "delta", "1", "request", *owner],
        ["storage.objects.incoming.bytes", "delta", "3", "B", *owner],
        ["storage.objects.outgoing.bytes", "delta", "5", "B", *owner],
    ]
    assert samples[0].resource.metadata == {"container": "backups"}
    expected = {
        "project_id": PROJECT,
        "user_id": USER,
        "outcome": "success",
        "target_metadata_object": "db",
        "target_action": "put",
    }
    assert contained(traits_of(events, arrived), expected) == expected


def test_a_request_without_bytes_is_a_request(
    cloud_bus: Bus, swift: Callable[..., tuple[str, bytes]], meters: MeterDefinitions
) -> None:
    swift("HEAD", f"/v1/AUTH_{PROJECT}", **ASKER)
    (arrived,) = received(cloud_bus)
    assert [sample.meter.name for sample in make_samples(meters, arrived)] == ["storage.api.request"]


def test_what_nobody_in_particular_downloads_is_the_account_s_and_no_user_s(
    cloud_bus: Bus, swift: Callable[..., tuple[str, bytes]], meters: MeterDefinitions
) -> None:
    for _ in range(2):
        swift("GET", f"/v1/AUTH_{PROJECT}/web/a.css", answer=b"body")
    for arrived in received(cloud_bus, 2):
        resources = {row_of(sample)[4:] == [PROJECT, PROJECT, None] for sample in make_samples(meters, arrived)}
        assert resources == {True}


def test_projects_that_swift_ignores_are_not_metered(cloud_bus: Bus, swift: Callable[..., tuple[str, bytes]]) -> None:
    swift("GET", f"/v1/AUTH_{PROJECT}/web/a.css", HTTP_X_USER_ID=USER, HTTP_X_PROJECT_ID="ignored")
    swift("GET", f"/v1/AUTH_{PROJECT}/web/b.css", **ASKER)
    (arrived,) = received(cloud_bus)
    assert arrived.payload["target"]["metadata"]["object"] == "b.css"


def login_event(outcome: str, *, user_id: str) -> dict[str, Any]:
    """A login as Keystone tells it: made with pycadf, with the real user's id beside the initiator's."""
    initiator = resource.Resource(
        id="5d3f9e1c-0000-5000-8000-000000000001",
        typeURI=cadftaxonomy.ACCOUNT_USER,
        host=host.Host(address="203.0.113.7", agent="curl/8"),
    )
    initiator.user_id, initiator.project_id, initiator.username = user_id, PROJECT, "lena"
    event = eventfactory.EventFactory().new_event(
        eventType="activity",
        outcome=outcome,
        action="authenticate",
        initiator=initiator,
        target=resource.Resource(typeURI=cadftaxonomy.ACCOUNT_USER),
        observer=resource.Resource(typeURI="service/security"),
        reason=reason.Reason(reasonType="HTTP", reasonCode="401"),
    )
    return event.as_dict()


@pytest.mark.parametrize("outcome", ["success", "failure", "pending"])
def test_logins_told_with_pycadf_are_counted_for_the_user_that_is_known(
    cloud_bus: Bus, outcome: str, meters: MeterDefinitions, events: EventDefinitions
) -> None:
    sender = cloud_bus.notifier("keystone", publisher_id="identity.ctl-01")
    sender.info({}, "identity.authenticate", login_event(outcome, user_id="ldap-user-42"))
    (arrived,) = received(cloud_bus)
    (sample,) = make_samples(meters, arrived)
    assert row_of(sample) == [
        f"identity.authenticate.{outcome}",
        "delta",
        "1",
        "user",
        "ldap-user-42",
        PROJECT,
        "ldap-user-42",
    ]
    expected = {
        "user_id": "ldap-user-42",
        "outcome": outcome,
        "reason_code": "401",
        "initiator_host_addr": "203.0.113.7",
    }
    traits = traits_of(events, arrived)
    assert contained(traits, expected) == expected
    assert "eventTime" in traits


def test_both_of_nova_s_formats_through_the_real_notifier_have_one_key(
    cloud_bus: Bus, meters: MeterDefinitions
) -> None:
    context = request_context()
    legacy = json.loads(LEGACY["compute.instance.create.end"].read_text())["payload"]
    versioned = json.loads(VERSIONED["instance-create-end"].read_text())["payload"]
    versioned["nova_object.data"] |= {"uuid": legacy["instance_id"], "host": legacy["host"]}
    topics = ["versioned_notifications"]
    cloud_bus.notifier("nova").info(context, "compute.instance.create.end", legacy)
    cloud_bus.notifier("nova", publisher_id="nova-compute:cmp-07", topics=topics).info(
        context, "instance.create.end", versioned
    )
    (old,) = received(cloud_bus)
    (new,) = (unpack(Letter(body)) for body in cloud_bus.bodies("versioned_notifications.info", 1))
    assert old.message_id != new.message_id
    assert old.origin == new.origin
    assert old.origin.startswith(f"nova/{legacy['instance_id']}/create.end/req-")
    names = [sorted(sample.meter.name for sample in make_samples(meters, each)) for each in (old, new)]
    assert names[0] == names[1]
