"""Listener, transform and collector are killed in turn while notifications flow: nothing is lost, nothing is doubled."""

from __future__ import annotations

import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metering.models import Event, Quarantine, Sample
from tests.support.notified import Metered, publish_bodies, wired
from tests.support.notifier import Bus
from tests.support.roles import Stage, wait_until
from tests.support.stacks import TRANSPORTS, Stack

VOLUME = json.loads(
    (Path(__file__).parent.parent / "data" / "notifications" / "legacy" / "volume.create.end.json").read_text()
)["payload"]
COUNT = 3000


def notification(number: int) -> bytes:
    at = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=number)
    return wired(
        {
            "message_id": f"message-{number}",
            "event_type": "volume.create.end",
            "publisher_id": "volume.stor-02",
            "priority": "INFO",
            "timestamp": at.isoformat(" "),
            "payload": VOLUME | {"volume_id": f"volume-{number}", "size": number + 1},
        }
    )


def assert_metered_once(numbers: range) -> None:
    stored = list(Sample.objects.values_list("resource__resource_id", "volume"))
    assert len(stored) == len(numbers), "no sample is doubled"
    assert {name: int(volume) for name, volume in stored} == {f"volume-{number}": number + 1 for number in numbers}
    assert sorted(Event.objects.values_list("message_id", flat=True)) == sorted(
        f"message-{number}" for number in numbers
    )
    assert not Quarantine.objects.exists()


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_each_role_killed_in_turn_under_load_loses_and_doubles_nothing(
    stage: Stage, stack: Stack, cloud_bus: Bus
) -> None:
    metered = Metered(stage, stack, cloud_bus, exchanges="cinder").start()
    chosen = random.Random(COUNT)
    kills, at_work = {role.name: 0 for role in metered.roles}, 0
    bodies = [notification(number) for number in range(COUNT)]
    for first in range(0, COUNT, COUNT // 12):
        publish_bodies(cloud_bus, "cinder", bodies[first : first + COUNT // 12])
        time.sleep(chosen.uniform(0, 0.1))
        at_work += Event.objects.count() < first + COUNT // 12
        role = metered.roles[sum(kills.values()) % 3]
        role.kill()
        kills[role.name] += 1
        role.start()
    assert set(kills.values()) == {4}
    assert at_work >= 8, "they were idle when they were killed: nothing was tested"
    wait_until(lambda: Event.objects.count() >= COUNT, seconds=120, what="all events")
    metered.await_quiet()
    assert_metered_once(range(COUNT))


@pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
def test_notifications_wait_on_the_bus_while_our_broker_is_away(stage: Stage, stack: Stack, cloud_bus: Bus) -> None:
    metered = Metered(stage, stack, cloud_bus, exchanges="cinder").start()
    stack.broker.wire.cut()
    publish_bodies(cloud_bus, "cinder", [notification(number) for number in range(200)])
    metered.listener.await_output("our broker does not take notifications")
    assert not Event.objects.exists()
    stack.broker.wire.mend()
    wait_until(lambda: Event.objects.count() == 200, seconds=60, what="all of them, afterwards")
    metered.await_quiet()
    assert_metered_once(range(200))


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_the_bus_cut_again_and_again_loses_and_doubles_nothing(stage: Stage, stack: Stack, cloud_bus: Bus) -> None:
    metered = Metered(stage, stack, cloud_bus, exchanges="cinder").start()
    for first in range(0, 1000, 200):
        publish_bodies(cloud_bus, "cinder", [notification(number) for number in range(first, first + 200)])
        time.sleep(0.1)
        cloud_bus.wire.cut()
        cloud_bus.wire.mend()
    wait_until(lambda: Event.objects.count() >= 1000, seconds=60, what="all events")
    metered.await_quiet()
    assert_metered_once(range(1000))
