"""What the definitions that come with us make of what the services send."""

from __future__ import annotations

import json
import re
from copy import copy
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.compute.domain_xml import Description
from agents.compute.metadata import describe_resources
from agents.compute.nova import Flavor, NovaRecord
from agents.notifications.definitions.events import EventDefinitions
from agents.notifications.definitions.meters import MeterDefinitions
from agents.notifications.notification import Notification
from agents.notifications.unpacking import unpack
from metering.messages import Letter, SampleCheck, event_problem, from_microseconds
from metering.queries.filters import metadata_paths
from tests.support.notifications import (
    BOTH,
    CAPTURED,
    CASES,
    DATA,
    LEGACY,
    ROOT,
    VERSIONED,
    captured,
    contained,
    make_event,
    make_samples,
    notification,
    notification_of,
    row_of,
    shipped_events,
    shipped_meters,
    stored,
    traits_of,
    volumes_of,
)

PROJECT = "4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa"
INSTANCE_METERS = ("memory", "vcpus", "disk.root.size", "disk.ephemeral.size")

# All that services are known to send that anybody meters or traces.
KNOWN_EVENT_TYPES = """
compute.instance.create.end compute.instance.exists compute.instance.update compute.instance.create.start
compute.metrics.update image.upload image.update image.delete image.send image.create image.prepare image.activate
image.member.* volume.exists volume.retype volume.create.* volume.delete.* volume.resize.* volume.attach.*
volume.detach.* volume.update.* volume.manage* volume.transfer.accept.end snapshot.exists snapshot.create.*
snapshot.delete.* snapshot.manage* backup.exists backup.create.* backup.delete.* backup.restore.* capacity.backend*
capacity.pool* network.create.end network.update.end network.delete.end network.exists subnet.create.end
subnet.update.end subnet.delete.end subnet.exists port.create.end port.update.end port.exists router.create.end
router.update.end router.delete.end router.exists floatingip.create.end floatingip.update.end floatingip.exists
l3.meter l3.meter.* identity.authenticate identity.user.* identity.project.* identity.group.* identity.role.*
identity.region.* identity.service.* identity.endpoint.* identity.policy.* identity.OS-TRUST:trust.*
identity.role_assignment.created identity.role_assignment.deleted objectstore.http.request orchestration.stack.*.start
orchestration.stack.*.end orchestration.stack.*.error sahara.cluster.create sahara.cluster.update
sahara.cluster.delete trove.instance.exists trove.instance.create trove.instance.modify_volume
trove.instance.modify_flavor trove.instance.delete dns.domain.exists dns.zone.create dns.zone.update dns.zone.delete
dns.zone.exists share.create.* share.delete.* share.extend.* share.shrink.* magnum.bay.metrics.* magnum.cluster.*
octavia.loadbalancer.create.end octavia.loadbalancer.update.end octavia.loadbalancer.delete.end
hardware.ipmi.metrics.update http.request http.response audit.http.* telemetry.polling alarm.creation
alarm.rule_change alarm.state_transition alarm.deletion profiler.* image_volume_cache.* instance.create.end
instance.create.error instance.delete.end instance.exists instance.update instance.resize_finish.end
instance.resize_confirm.end instance.rebuild.end instance.power_off.end instance.power_on.end
instance.shelve_offload.end instance.live_migration_post.end instance.live_migration_post_dest.end
instance.volume_attach.end metrics.update volume.usage
"""


SHIPPED_METERS, SHIPPED_EVENTS = shipped_meters(), shipped_events()


@pytest.fixture
def meters() -> MeterDefinitions:
    return SHIPPED_METERS


@pytest.fixture
def events() -> EventDefinitions:
    return SHIPPED_EVENTS


def test_nothing_in_the_shipped_files_is_dead(meters: MeterDefinitions, events: EventDefinitions) -> None:
    assert meters.warnings == []
    assert events.warnings == []


@pytest.mark.parametrize("case", CASES)
def test_samples_of_each_service(case: dict[str, Any], meters: MeterDefinitions) -> None:
    reports: list[str] = []
    samples = make_samples(meters, notification_of(case), reports)
    assert sorted(map(row_of, samples), key=str) == sorted(case.get("samples", []), key=str)
    assert len(reports) == len(case.get("reports", []))
    for words in case.get("reports", []):
        assert any(words in report for report in reports), reports
    if "metadata" in case:
        assert contained(samples[0].resource.metadata, case["metadata"]) == case["metadata"]
    at = case.get("at", "2026-03-14T09:26:41.220517+00:00")
    for sample in samples:
        assert from_microseconds(sample.timestamp).isoformat(timespec="microseconds") == at
        assert sample.resource.source == "openstack"


@pytest.mark.parametrize("case", CASES)
def test_events_of_each_service(case: dict[str, Any], events: EventDefinitions) -> None:
    if case.get("traits") == "no event":
        assert make_event(events, notification_of(case)) is None
    else:
        expected = case.get("traits", {})
        assert contained(traits_of(events, notification_of(case)), expected) == expected


def test_every_kind_of_notification_is_tried_here() -> None:
    tried = {each.event_type for each in every_notification()}
    assert [
        glob for glob in KNOWN_EVENT_TYPES.split() if not any(fnmatchcase(event_type, glob) for event_type in tried)
    ] == []


def told_in_docs() -> list[tuple[list[str], list[str]]]:
    """Event types and meters, both globs, of each row of the table in docs/events.md."""
    _, _, section = (ROOT / "docs" / "events.md").read_text().partition("## What is made of which notification")
    rows = [line.split("|")[1:3] for line in section.splitlines() if line.startswith("| `")]
    return [(re.findall("`([^`]+)`", types), re.findall("`([^`]+)`", meters)) for types, meters in rows]


def matches_any(text: str, globs: list[str]) -> bool:
    return any(fnmatchcase(text, glob) for glob in globs)


def test_the_table_in_the_docs_is_what_happens(meters: MeterDefinitions) -> None:
    table = told_in_docs()
    seen: list[set[str]] = [set() for _ in table]
    for each in every_notification():
        rows = [number for number, (types, _) in enumerate(table) if matches_any(each.event_type, types)]
        assert len(rows) <= 1, f"{each.event_type} stands in {len(rows)} rows"
        # The last row is for all that stands in no other.
        seen[rows[0] if rows else -1] |= {sample.meter.name for sample in make_samples(meters, each, [])}
    for (types, named), made in zip(table, seen, strict=True):
        assert [name for name in made if not matches_any(name, named)] == [], types
        assert [glob for glob in named if not any(fnmatchcase(name, glob) for name in made)] == [], types


def every_notification() -> list[Notification]:
    stored_ones = [stored(path) for path in [*LEGACY.values(), *VERSIONED.values()]]
    captured_ones = [captured(path) for path in sorted(CAPTURED.glob("*/*.wire.json"))]
    return [notification_of(case.values[0]) for case in CASES] + stored_ones + captured_ones


def test_every_definition_is_tried_here(meters: MeterDefinitions, events: EventDefinitions) -> None:
    everything = every_notification()
    never = []
    for definition in meters.definitions:
        alone = MeterDefinitions([definition], source="openstack")
        if not any(make_samples(alone, each, []) for each in everything):
            never.append(definition.name)
    assert never == []
    chosen = {id(events._of(each.event_type)) for each in everything}
    assert [definition.globs.included for definition in events.definitions if id(definition) not in chosen] == []


# What each of the files in legacy/ comes to.
LEGACY_VOLUMES: dict[str, dict[str, str]] = {
    "compute.instance.create.end": dict(zip(INSTANCE_METERS, ("4096", "2", "40", "10"), strict=True))
    | {"compute.instance.booting.time": "28"},
    "compute.instance.exists": dict(zip(INSTANCE_METERS, ("4096", "2", "40", "10"), strict=True)),
    "volume.create.end": {"volume.size": "120"},
    "volume.exists": {"volume.size": "120"},
    "image.upload": {"image.size": "734003200"},
    "image.delete": {"image.size": "734003200"},
    "network.create.end": {},
    "port.create.end": {},
    "identity.authenticate": {"identity.authenticate.failure": "1"},
    "objectstore.http.request": {"storage.api.request": "1", "storage.objects.incoming.bytes": "52428800"},
    "compute.metrics.update": {
        "compute.node.cpu.frequency": "2600",
        "compute.node.cpu.user.time": "184422310000000",
        "compute.node.cpu.kernel.time": "36018440000000",
        "compute.node.cpu.idle.time": "2714093870000000",
        "compute.node.cpu.iowait.time": "9120550000000",
        "compute.node.cpu.user.percent": "31",
        "compute.node.cpu.kernel.percent": "6",
        "compute.node.cpu.idle.percent": "62",
        "compute.node.cpu.iowait.percent": "1",
        "compute.node.cpu.percent": "38",
    },
}


@pytest.mark.parametrize("name", LEGACY)
def test_volumes_of_the_legacy_files(name: str, meters: MeterDefinitions) -> None:
    assert volumes_of(make_samples(meters, stored(LEGACY[name]))) == LEGACY_VOLUMES[name]


@pytest.mark.parametrize("path", sorted((DATA / "legacy").glob("*.wire.json")), ids=lambda path: path.stem)
def test_the_bytes_of_the_bus_come_to_the_same(path: Path, meters: MeterDefinitions) -> None:
    plain = stored(LEGACY[path.name.removesuffix(".wire.json")])
    assert make_samples(meters, unpack(Letter(path.read_bytes()))) == make_samples(meters, plain)


def test_an_instance_s_labels_are_kept_and_its_other_metadata_are_not(meters: MeterDefinitions) -> None:
    resource = make_samples(meters, stored(LEGACY["compute.instance.create.end"]))[0].resource
    assert resource.metadata["user_metadata"] == {"stack": "orchard-prod", "cost_centre": "CC-4471"}
    assert "owner_note" not in str(resource.metadata)
    assert "hw_disk_bus" not in str(resource.metadata)
    assert (resource.project, resource.user) == (
        "4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa",
        "a90d3b6c1e5f4a2b8c7d6e5f40312233",
    )


def test_an_attached_volume_names_its_image_and_its_instance(
    meters: MeterDefinitions, events: EventDefinitions
) -> None:
    exists = stored(LEGACY["volume.exists"])
    expected = {
        "image_id": "c0ffee11-22aa-4bbb-8ccc-1234567890ab",
        "instance_id": "5b7e2c1a-7d0e-4c55-9a3b-6f1d2e3c4b5a",
    }
    assert contained(make_samples(meters, exists)[0].resource.metadata, expected) == expected
    assert contained(traits_of(events, exists), expected) == expected


@pytest.mark.parametrize("name", ["network.create.end", "port.create.end"])
def test_neutron_s_events_have_their_project(name: str, events: EventDefinitions) -> None:
    traits = traits_of(events, stored(LEGACY[name]))
    assert traits["project_id"] == traits["tenant_id"] == "4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa"
    assert traits["user_id"] == "a90d3b6c1e5f4a2b8c7d6e5f40312233"


def test_image_samples_have_a_project_and_no_user(meters: MeterDefinitions) -> None:
    resource = make_samples(meters, stored(LEGACY["image.upload"]))[0].resource
    assert (resource.project, resource.user) == ("4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa", None)


def test_a_host_s_samples_have_the_time_of_measurement_and_no_owner(meters: MeterDefinitions) -> None:
    for sample in make_samples(meters, stored(LEGACY["compute.metrics.update"])):
        assert from_microseconds(sample.timestamp).isoformat() == "2026-03-14T09:45:30+00:00"
        assert sample.resource.id == "cmp-07_cmp-07.dc1.example.net"
        assert (sample.resource.project, sample.resource.user) == (None, None)
        assert sample.resource.metadata["source"] == "libvirt.LibvirtDriver"


# Memory, processors, root and ephemeral disk where they are not those of the small flavor.
VERSIONED_VOLUMES = {
    "instance-resize_finish-end": ("256", "1", "1", "0"),
    "instance-resize_confirm-end": ("2048", "1", "20", "0"),
}


@pytest.mark.parametrize("name", [name for name in VERSIONED if name.startswith("instance-")])
def test_volumes_of_nova_s_versioned_files(name: str, meters: MeterDefinitions) -> None:
    expected = dict(zip(INSTANCE_METERS, VERSIONED_VOLUMES.get(name, ("512", "1", "1", "0")), strict=True))
    if name == "instance-create-end":
        expected["compute.instance.booting.time"] = "0"
    if name in ("instance-update", "instance-create-error"):
        expected = {}
    assert volumes_of(make_samples(meters, stored(VERSIONED[name]))) == expected


def test_versioned_percents_are_percents_already(meters: MeterDefinitions) -> None:
    volumes = volumes_of(make_samples(meters, stored(VERSIONED["metrics-update"])))
    assert len(volumes) == 10
    assert volumes["compute.node.cpu.idle.percent"] == "97"
    assert volumes["compute.node.cpu.percent"] == "2"
    assert volumes["compute.node.cpu.iowait.percent"] == "0"


def test_versioned_volume_usage_is_metered(meters: MeterDefinitions) -> None:
    samples = make_samples(meters, stored(VERSIONED["volume-usage"]))
    assert volumes_of(samples) == dict.fromkeys(
        ("volume.read.requests", "volume.read.bytes", "volume.write.requests", "volume.write.bytes"), "0"
    )
    assert samples[0].resource.id == "a07f71dc-8151-4e7d-a0cc-cd24a3f11113"
    assert samples[0].resource.project == "6f70656e737461636b20342065766572"


def test_versioned_events_tell_what_the_legacy_ones_tell(events: EventDefinitions) -> None:
    traits = traits_of(events, stored(VERSIONED["instance-create-end"]))
    expected = {
        "instance_id": "178b0921-8f85-4257-88b6-2e743b5a975c",
        "instance_type": "test_flavor",
        "flavor_id": "a22d5517-147c-4147-a0d1-e698df5cd4e3",
        "memory_mb": "512",
        "disk_gb": "1",
        "state": "active",
        "launched_at": "2012-10-29T13:42:11",
        "project_id": "6f70656e737461636b20342065766572",
        "user_id": "fake",
    }
    assert contained(traits, expected) == expected
    update = traits_of(events, stored(VERSIONED["instance-update"]))
    assert (update["old_state"], update["state"]) == ("building", "building")
    assert update["audit_period_beginning"] == "2012-10-01T00:00:00"
    failure = traits_of(events, stored(VERSIONED["instance-create-error"]))
    assert failure["exception"]
    assert failure["message"]


def test_error_notifications_are_events_and_no_samples(meters: MeterDefinitions, events: EventDefinitions) -> None:
    failed = stored(VERSIONED["instance-create-error"])
    assert make_samples(meters, failed) == []
    assert make_event(events, failed) is not None


LEGACY_ACTIONS = """
create.end delete.start delete.end exists reboot.start rebuild.end rebuild.scheduled resize.prep.start
resize.confirm.end resize.revert.end resize.start finish_resize.end power_on.end power_off.start pause.end unpause.end
suspend.end resume.end shelve.end shelve_offload.end unshelve.end soft_delete.end restore.end rescue.end unrescue.end
snapshot.start shutdown.end evacuate volume.attach volume.detach live_migration.pre.start live_migration._post.end
live_migration.post.dest.end live_migration._rollback.end live_migration.rollback.dest.end live.migration.abort.end
live.migration.force.complete.end trigger_crash_dump.start create_ip.end delete_ip.start
"""
VERSIONED_ACTIONS = """
create.end delete.start exists reboot.end resize_prep.start resize_finish.end power_off.end lock unlock
interface_attach.end volume_swap.end live_migration_post_dest.end rebuild_scheduled share_attach.end
"""


@pytest.mark.parametrize("action", LEGACY_ACTIONS.split())
def test_every_legacy_action_of_an_instance_is_metered(action: str, meters: MeterDefinitions) -> None:
    message = json.loads(LEGACY["compute.instance.exists"].read_text()) | {"event_type": f"compute.instance.{action}"}
    volumes = volumes_of(make_samples(meters, notification(message)))
    assert set(INSTANCE_METERS) <= set(volumes)
    assert ("compute.instance.booting.time" in volumes) is (action == "create.end")


@pytest.mark.parametrize("action", VERSIONED_ACTIONS.split())
def test_every_versioned_action_of_an_instance_is_metered(action: str, meters: MeterDefinitions) -> None:
    message = json.loads(VERSIONED["instance-exists"].read_text()) | {"event_type": f"instance.{action}"}
    assert set(INSTANCE_METERS) <= set(volumes_of(make_samples(meters, notification(message))))


@pytest.mark.parametrize("paths", BOTH, ids=lambda paths: paths[1].name.removesuffix(".versioned.wire.json"))
def test_both_formats_of_an_action_by_nova_s_own_code_come_to_the_same_under_one_key(
    paths: tuple[Path, Path], meters: MeterDefinitions, events: EventDefinitions
) -> None:
    legacy, versioned = map(captured, paths)
    assert legacy.message_id != versioned.message_id
    assert legacy.origin == versioned.origin
    assert legacy.origin.startswith("nova/")
    old, new = make_samples(meters, legacy, []), make_samples(meters, versioned, [])
    assert old
    assert list(map(row_of, old)) == list(map(row_of, new))
    grouped_by = dict.fromkeys(
        ("flavor.name", "flavor.id", "instance_type", "image.id", "instance_host", "availability_zone", "user_metadata")
    )
    assert contained(old[0].resource.metadata, grouped_by) == contained(new[0].resource.metadata, grouped_by)
    told = dict.fromkeys(
        [
            "resource_id",
            "instance_id",
            "volume_id",
            "instance_type",
            "flavor_id",
            "memory_mb",
            "vcpus",
            "disk_gb",
            "host",
            "node",
            "state",
            "image_id",
            "os_type",
            "project_id",
            "user_id",
            "request_id",
            "display_name",
            "audit_period_beginning",
        ]
    )
    assert contained(traits_of(events, legacy), told) == contained(traits_of(events, versioned), told)


def test_no_two_actions_of_nova_have_one_key() -> None:
    keys = [captured(legacy).origin for legacy, _ in BOTH]
    assert len(set(keys)) == len(keys) == 12


CINDER_VOLUMES = {
    "volume.create.end": {"volume.size": "120"},
    "volume.attach.end": {"volume.size": "120"},
    "volume.exists": {"volume.size": "120"},
    "snapshot.create.end": {"snapshot.size": "120"},
    "backup.create.end": {"backup.size": "120"},
    "capacity.pool": {
        f"volume.provider.pool.capacity.{name}": volume
        for name, volume in [
            ("total", "1000"),
            ("free", "400.5"),
            ("allocated", "600"),
            ("provisioned", "1200"),
            ("virtual_free", "800"),
        ]
    },
}


@pytest.mark.parametrize("name", CINDER_VOLUMES)
def test_what_cinder_s_own_code_sent(name: str, meters: MeterDefinitions, events: EventDefinitions) -> None:
    sent = captured(CAPTURED / "cinder" / f"{name}.wire.json")
    samples = make_samples(meters, sent)
    assert volumes_of(samples) == CINDER_VOLUMES[name]
    traits = traits_of(events, sent)
    assert (traits["project_id"], traits["resource_id"]) == (PROJECT, samples[0].resource.id)
    if name.startswith("volume."):
        attached = {
            "instance_id": "5b7e2c1a-7d0e-4c55-9a3b-6f1d2e3c4b5a",
            "image_id": "c0ffee11-22aa-4bbb-8ccc-1234567890ab",
        }
        assert contained(samples[0].resource.metadata, attached) == contained(traits, attached) == attached


def test_what_a_whole_keystone_sent(meters: MeterDefinitions, events: EventDefinitions) -> None:
    sent = [captured(path) for path in sorted((CAPTURED / "keystone").glob("*.wire.json"))]
    assert [[sample.meter.name for sample in make_samples(meters, each)] for each in sent] == [
        ["identity.authenticate.failure"],
        ["identity.authenticate.success"],
        *[[]] * 5,
    ]
    failure, *_, created, _, assigned, deleted = [traits_of(events, each) for each in sent]
    assert failure["user_id"] == failure["initiator_id"] == created["user_id"]
    assert (failure["initiator_name"], failure["initiator_host_addr"]) == ("admin", "203.0.113.7")
    assert all(each["request_id"].startswith("req-") for each in (failure, created, assigned, deleted))
    assert created["resource_id"] == deleted["resource_id"] == assigned["user"]
    assert assigned["resource_id"] == assigned["role"]
    assert created["project_id"] != assigned["project"]


def test_what_a_whole_glance_sent(meters: MeterDefinitions, events: EventDefinitions) -> None:
    """An image was created, uploaded, renamed, shared, downloaded by another project and deleted."""
    sent = [captured(path) for path in sorted((CAPTURED / "glance").glob("*.wire.json"))]
    volumes = [(each.event_type, volumes_of(make_samples(meters, each, []))) for each in sent]
    size = {"image.size": "4000"}
    assert volumes == [
        ("image.create", {}),
        # It has no size yet.
        ("image.update", {}),
        ("image.prepare", {}),
        ("image.upload", size),
        ("image.activate", {}),
        ("image.update", size),
        ("image.update", size),
        ("image.member.create", {}),
        ("image.send", {"image.download": "4000", "image.serve": "4000"}),
        ("image.delete", size),
    ]
    download, serve = make_samples(meters, sent[8])
    assert (download.resource.project, download.resource.user) == (
        "5d208f103c8e505cae60b7d9f32c8bb0",
        "b81e4c7d2f604b3c9d8e7f6051423344",
    )
    assert (serve.resource.project, serve.resource.user) == (PROJECT, None)
    assert traits_of(events, sent[9])["deleted_at"]
    assert traits_of(events, sent[7])["member_id"] == download.resource.project


def test_the_partial_password_of_a_failed_login_goes_nowhere(events: EventDefinitions) -> None:
    path = CAPTURED / "keystone" / "00-identity.authenticate.wire.json"
    assert "partial_password_hash" in path.read_text()
    event = make_event(events, captured(path))
    assert event is not None
    assert b"partial_password_hash" not in bytes(event.raw)
    assert "partial_password_hash" not in str(event.traits)


def test_polled_and_notified_samples_of_an_instance_are_described_alike(meters: MeterDefinitions) -> None:
    message = json.loads(LEGACY["compute.instance.exists"].read_text())
    sent, notified = message["payload"], make_samples(meters, notification(message))[0].resource
    polled = describe_resources(
        Description(
            name="instance-0000002f",
            os_type="hvm",
            architecture=sent["architecture"],
            vcpus=sent["vcpus"],
            memory_mib=sent["memory_mb"],
            balloon_period_seconds=10,
            disks=(),
            nics=(),
            nova=NovaRecord(
                display_name=sent["display_name"],
                project=sent["tenant_id"],
                user=sent["user_id"],
                flavor=Flavor(
                    id=sent["instance_flavor_id"],
                    name=sent["instance_type"],
                    vcpus=sent["vcpus"],
                    ram_mib=sent["memory_mb"],
                    disk_gib=sent["root_gb"],
                    ephemeral_gib=sent["ephemeral_gb"],
                    swap_mib=0,
                ),
                image_id=sent["image_meta"]["base_image_ref"],
                image_name="debian-12",
                image_meta={"os_distro": "debian", "os_version": "12", "os_type": "linux"},
            ),
        ),
        instance_id=sent["instance_id"],
        node=sent["host"],
        state=1,
    ).instance
    assert (polled.id, polled.source, polled.project, polled.user) == (
        notified.id,
        notified.source,
        notified.project,
        notified.user,
    )
    others = {
        name: next(
            (value for path in metadata_paths(name) if (value := look_up(polled.metadata, path)) is not None), None
        )
        for name in notified.metadata
    }
    only_notified = {name for name, other in others.items() if other is None}
    assert only_notified == {"availability_zone", "created_at", "launched_at", "user_metadata"}
    assert {name: notified.metadata[name] for name in others if name not in only_notified} == {
        name: other for name, other in others.items() if name not in only_notified
    }


def look_up(metadata: Any, path: tuple[str, ...]) -> Any:
    for level in path:
        metadata = metadata.get(level) if isinstance(metadata, dict) else None
    return metadata


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def spoiled(value: Any, draw: st.DrawFn) -> Any:
    """The value with one place in it, or all of it, replaced by anything."""
    if isinstance(value, dict | list) and value and draw(st.integers(0, 4)):
        place = draw(st.sampled_from(sorted(value) if isinstance(value, dict) else range(len(value))))
        copied = copy(value)
        copied[place] = spoiled(value[place], draw)
        return copied
    return draw(json_values)


@given(case=st.sampled_from([case.values[0] for case in CASES]), data=st.data())
def test_whatever_a_payload_holds_nothing_comes_of_it_that_cannot_travel(case: dict[str, Any], data: Any) -> None:
    payload = spoiled(case["payload"], data.draw)
    arrived = notification_of({**case, "payload": payload})
    check = SampleCheck()
    for sample in make_samples(SHIPPED_METERS, arrived, []):
        assert check.problem_with(sample) == ""
    event = SHIPPED_EVENTS.event(arrived, report=lambda event_type, what: None)
    assert event is None or event_problem(event) == ""
