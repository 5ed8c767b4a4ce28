"""A cloud's own notifications, from real senders on a real bus to the store and the API's answers."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from metering.collector.ingestion import Result, release
from metering.models import Event, Quarantine, Sample
from tests.support.notified import Metered, publish_bodies, wired
from tests.support.notifier import Bus, request_context
from tests.support.roles import Stage, wait_until
from tests.support.stacks import TRANSPORTS, Stack

DATA = Path(__file__).parent.parent / "data" / "notifications"
# The slow ones on both transports only where the transport matters.
_EMBEDDED = pytest.mark.parametrize("broker", ["embedded"], indirect=True)
_BOTH = pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)


def payload_of(name: str) -> dict[str, Any]:
    return json.loads((DATA / name).read_text())["payload"]


@pytest.fixture
def metered(stage: Stage, stack: Stack, cloud_bus: Bus) -> Metered:
    return Metered(stage, stack, cloud_bus).start()


def volumes() -> dict[tuple[str, str], list[str]]:
    """Volumes by meter and resource, in the order of time."""
    found: dict[tuple[str, str], list[str]] = {}
    rows = Sample.objects.order_by("timestamp", "id").values_list("meter__name", "resource__resource_id", "volume")
    for meter, resource, volume in rows:
        found.setdefault((meter, resource), []).append(format(volume, "f"))
    return found


@_BOTH
def test_notifications_of_several_services_become_samples_and_events(metered: Metered, cloud_bus: Bus) -> None:
    cloud_bus.notifier("cinder", publisher_id="volume.stor-02").info(
        request_context(), "volume.create.end", payload_of("legacy/volume.create.end.json")
    )
    cloud_bus.notifier("glance", publisher_id="image.glance-1", driver="messaging").info(
        {}, "image.upload", payload_of("legacy/image.upload.json")
    )
    cloud_bus.notifier("neutron", publisher_id="network.net-1").info(
        request_context(), "network.create.end", payload_of("legacy/network.create.end.json")
    )
    cloud_bus.notifier("nova", publisher_id="compute.cmp-07").error(
        request_context(), "compute.instance.create.error", payload_of("legacy/compute.instance.create.end.json")
    )
    wait_until(lambda: Event.objects.count() == 4, what="an event of each")
    by_meter = {meter: values for (meter, _), values in volumes().items()}
    assert by_meter == {"volume.size": ["120"], "image.size": ["734003200"]}, "errors and networks give no samples"


@_EMBEDDED
def test_an_action_that_nova_tells_in_both_formats_is_metered_once(metered: Metered, cloud_bus: Bus) -> None:
    """notification_format = both: two messages, two ids, one instance."""
    context = request_context()
    versioned = payload_of("nova-versioned/instance-create-end.json")
    data = versioned["nova_object.data"]
    legacy = payload_of("legacy/compute.instance.create.end.json") | {
        "instance_id": data["uuid"],
        "host": data["host"],
        "memory_mb": data["flavor"]["nova_object.data"]["memory_mb"],
    }
    cloud_bus.notifier("nova", publisher_id="compute.cmp-07").info(context, "compute.instance.create.end", legacy)
    cloud_bus.notifier("nova", publisher_id="nova-compute:cmp-07", topics=["versioned_notifications"]).info(
        context, "instance.create.end", versioned
    )
    wait_until(lambda: Event.objects.count() == 2, what="both are events, under their own names")
    wait_until(lambda: Sample.objects.filter(meter__name="memory").exists(), what="the instance is metered")
    metered.await_quiet()
    memory = volumes()[("memory", data["uuid"])]
    assert memory == [str(data["flavor"]["nova_object.data"]["memory_mb"])]


@_EMBEDDED
def test_a_notification_that_comes_again_in_other_company_is_stored_once(metered: Metered, cloud_bus: Bus) -> None:
    def volume(number: int) -> bytes:
        now = datetime.now(UTC).replace(tzinfo=None)
        return wired(
            {
                "message_id": f"00000000-0000-4000-8000-{number:012}",
                "event_type": "volume.create.end",
                "publisher_id": "volume.stor-02",
                "priority": "INFO",
                "timestamp": now.isoformat(" "),
                "payload": payload_of("legacy/volume.create.end.json") | {"volume_id": f"v-{number}"},
            }
        )

    bodies = [volume(number) for number in range(20)]
    for company in (bodies[:10], bodies[5:15], bodies, bodies[::-1]):
        publish_bodies(cloud_bus, "cinder", company)
        time.sleep(0.3)
    wait_until(lambda: Event.objects.count() == 20, what="all of them")
    metered.await_quiet()
    assert volumes() == {("volume.size", f"v-{number}"): ["120"] for number in range(20)}
    assert Event.objects.count() == 20


@_BOTH
def test_poison_goes_to_the_quarantine_and_the_rest_flows(metered: Metered, cloud_bus: Bus) -> None:
    good = {
        "event_type": "volume.create.end",
        "timestamp": datetime.now(UTC).replace(tzinfo=None).isoformat(" "),
        "payload": payload_of("legacy/volume.create.end.json"),
    }
    poison = [
        b"",
        b"\xff\xfe",
        b'{"oslo.version": "2.0", "oslo.message": "no JSON"}',
        wired(good | {"timestamp": "yesterday"}),
        wired({"no": "event type"}),
        b"[" * 200_000,
    ]
    publish_bodies(cloud_bus, "cinder", [body for bad in poison for body in (bad, wired(good))])
    wait_until(lambda: Event.objects.count() == len(poison), what="the good ones")
    wait_until(lambda: Quarantine.objects.count() == len(poison), what="the poison, with its bytes")
    entries = Quarantine.objects.filter(reason="bad_notification")
    assert entries.count() == len(poison)
    assert any("timestamp 'yesterday'" in entry.detail for entry in entries)
    assert any(b"yesterday" in bytes(entry.message) for entry in entries)
    assert metered.transform.is_alive()


@_EMBEDDED
def test_changed_definitions_count_without_a_restart(metered: Metered, cloud_bus: Bus) -> None:
    sender = cloud_bus.notifier("cinder")
    payload = payload_of("legacy/volume.create.end.json")
    sender.info(request_context(), "volume.create.end", payload)
    wait_until(lambda: Sample.objects.count() == 1, what="what the shipped definitions make")
    metered.write("meters.yaml", "metric: [{name: broken")
    sender.info(request_context(), "volume.create.end", payload)
    wait_until(lambda: Sample.objects.count() == 2, what="a broken file changes nothing")
    metered.transform.await_output("changed definitions are not used")
    metered.write(
        "meters.yaml",
        "metric:\n- {name: volume.tib, event_type: 'volume\\.create\\.end', type: gauge, unit: TiB,\n"
        "   volume: $.payload.size / 1024, resource_id: $.payload.volume_id}\n",
    )
    sender.info(request_context(), "volume.create.end", payload)
    wait_until(lambda: Sample.objects.filter(meter__name="volume.tib").exists(), what="the operator's own")
    assert [value for (meter, _), value in volumes().items() if meter == "volume.tib"] == [["0.1171875"]]


@_BOTH
def test_what_the_quarantine_releases_is_converted_once_the_fault_is_mended(
    metered: Metered, cloud_bus: Bus, settings: Any
) -> None:
    """A definition of the operator's own that fails is mended, and nothing that came meanwhile is lost."""
    good = {
        "event_type": "volume.create.end",
        "timestamp": "2013-01-01 00:00:00, or so",
        "payload": payload_of("legacy/volume.create.end.json"),
    }
    publish_bodies(cloud_bus, "cinder", [wired(good)])
    wait_until(lambda: Quarantine.objects.exists(), what="it is refused")
    settings.CELOMETER_BROKER_URL = metered.stack.broker.url
    entry = Quarantine.objects.get()
    assert release(entry, by=None).result is Result.RETURNED
    entry.refresh_from_db()
    assert entry.released_at
    wait_until(lambda: Quarantine.objects.get().received_count == 2, what="it is refused again: nothing was mended")
    assert Quarantine.objects.get().released_at is None, "so it waits again"
