"""Notifications of all services, from files, and what comes of them by the definitions that are shipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from agents.notifications.definitions.events import EventDefinitions, read_events
from agents.notifications.definitions.meters import MeterDefinitions, read_meters
from agents.notifications.notification import Notification
from agents.notifications.unpacking import unpack
from metering.messages import Event, Letter, Sample

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data" / "notifications"
DEFAULTS = ROOT / "config" / "defaults"
SERVICES = yaml.safe_load((DATA / "services.yaml").read_text())
CASES = [
    pytest.param({**case, "event_type": event_type}, id=f"{number}-{event_type}")
    for number, case in enumerate(SERVICES)
    for event_type in [case["event_type"], *case.get("like", ())]
]
LEGACY = {path.stem: path for path in sorted((DATA / "legacy").glob("*.json")) if ".wire" not in path.name}
# What services' own code put on the bus: of Nova each action in both formats.
CAPTURED = DATA / "captured"
BOTH = list(
    zip(
        *(sorted((CAPTURED / "nova").glob(f"*.{name}.wire.json")) for name in ("legacy", "versioned")),
        strict=True,
    )
)
VERSIONED = {path.stem: path for path in sorted((DATA / "nova-versioned").glob("*.json"))}


def shipped_meters() -> MeterDefinitions:
    return read_meters([DEFAULTS / "meters.yaml"], source="openstack")


def shipped_events() -> EventDefinitions:
    return read_events(DEFAULTS / "events.yaml", source="openstack")


def notification(message: dict[str, Any]) -> Notification:
    """As if it had come over the bus; what is missing is added."""
    sent = {
        "message_id": "m-1",
        "publisher_id": "nova-compute:cmp-07",
        "priority": "INFO",
        "timestamp": "2026-03-14 09:26:41.220517",
        **message,
    }
    return unpack(Letter(json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(sent)}).encode()))


def notification_of(case: dict[str, Any]) -> Notification:
    fields = ("event_type", "publisher_id", "priority", "payload")
    context = {f"_context_{name}": value for name, value in case.get("ctxt", {}).items()}
    return notification({name: case[name] for name in fields if name in case} | context)


def stored(path: Path) -> Notification:
    return notification(json.loads(path.read_text()))


def captured(path: Path) -> Notification:
    return unpack(Letter(path.read_bytes()))


def make_samples(
    meters: MeterDefinitions, notification: Notification, reports: list[str] | None = None
) -> list[Sample]:
    told = [] if reports is None else reports
    samples = meters.samples(notification, report=lambda event_type, what: told.append(what))
    assert reports is not None or not told, told
    return samples


def make_event(events: EventDefinitions, notification: Notification) -> Event | None:
    told: list[str] = []
    event = events.event(notification, report=lambda event_type, what: told.append(what))
    assert not told
    return event


def traits_of(events: EventDefinitions, notification: Notification) -> dict[str, str]:
    event = make_event(events, notification)
    assert event is not None
    return {trait.name: trait.value for trait in event.traits}


def volumes_of(samples: list[Sample]) -> dict[str, str]:
    return {sample.meter.name: sample.volume for sample in samples}


def row_of(sample: Sample) -> list[str | None]:
    meter, resource = sample.meter, sample.resource
    return [meter.name, meter.type, sample.volume, meter.unit, resource.id, resource.project, resource.user]


def contained(found: dict[str, Any], expected: dict[str, Any]) -> dict[str, Any]:
    return {name: found.get(name) for name in expected}
