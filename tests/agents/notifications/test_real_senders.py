"""What real senders put on the bus is what our data files say that they do."""

from __future__ import annotations

import json

import pytest

from tests.support.notifier import Bus, request_context, send_request

PAYLOAD = {"volume_id": "v-1", "size": 120}


def inner(body: bytes) -> dict:
    document = json.loads(body)
    return json.loads(document["oslo.message"]) if "oslo.message" in document else document


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
    assert real["_context_project_id"] == "4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa"
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
def test_services_may_be_configured_otherwise(cloud_bus: Bus, options: dict) -> None:
    cloud_bus.notifier("nova", **options).info(request_context(), "compute.instance.create.end", {})
    assert len(cloud_bus.bodies("notifications.info", 1)) == 1


def test_swift_s_middleware_counts_bytes(cloud_bus: Bus) -> None:
    def swift(environ, start_response):
        environ["wsgi.input"].read()
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"12345"]

    proxy = cloud_bus.swift_proxy(swift)
    assert send_request(
        proxy, "PUT", "/v1/AUTH_p1/backups/db", b"123", HTTP_X_USER_ID="u1", HTTP_X_PROJECT_ID="p1"
    ) == (
        "200 OK",
        b"12345",
    )
    payload = inner(cloud_bus.bodies("notifications.info", 1)[0])["payload"]
    assert [measurement["result"] for measurement in payload["measurements"]] == [1, 3, 5]
    assert payload["target"]["metadata"]["container"] == "backups"
