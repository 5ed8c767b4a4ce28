"""Discovery and meters of instances, read from libvirt's own test driver."""

from __future__ import annotations

import json
from collections import Counter
from hashlib import sha224

import libvirt
import msgspec
import pytest

from agents.compute.hypervisor import Hypervisor
from agents.compute.instances import LocalInstances
from tests.support.libvirt_file import IMAGE, PROJECT, USER, domain_id, domain_xml, nova_metadata, write_crowd

from .conftest import make_cycle, readings, take_samples


@pytest.fixture
def calls(monkeypatch):
    """Counts of the libvirt calls that cost a round trip."""
    counted = Counter()
    for owner, name in (
        (libvirt.virConnect, "getAllDomainStats"),
        (libvirt.virDomain, "XMLDesc"),
        (libvirt.virDomain, "info"),
    ):
        original = getattr(owner, name)

        def count(*arguments, original=original, name=name, **options):
            counted[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(owner, name, count)
    return counted


def resource_of(samples, meter, resource_id):
    return next(s.resource for s in samples if s.meter.name == meter and s.resource.id == resource_id)


def test_fifty_domains_cost_one_bulk_call_and_their_xml_once(tmp_path, calls):
    local_instances = LocalInstances(Hypervisor(write_crowd(tmp_path / "node.xml", 50)))
    first = take_samples(local_instances.discover(make_cycle()), make_cycle())
    assert calls["getAllDomainStats"] == 1
    assert calls["XMLDesc"] == 50
    again = take_samples(local_instances.discover(make_cycle(300)), make_cycle(300))
    assert calls["getAllDomainStats"] == 2
    assert calls["XMLDesc"] == 50
    assert len(again) == len(first) == len(readings(first))
    assert Counter(s.meter.name for s in first)["instance"] == 50
    assert Counter(s.meter.name for s in first)["cpu"] == 40  # ten are shut off


def test_descriptions_do_not_move_between_polls(make_node):
    node = make_node(domain_xml("instance-1", metadata=nova_metadata(display_name="web")))
    first = {id(s.resource): s.resource for s in node.poll()}
    second = {id(s.resource): s.resource for s in node.poll(300)}
    assert first == second, "the same objects, so that a batch encodes each once"


def test_nova_instance_belongs_to_its_owner_and_carries_flavor_and_image(make_node):
    node = make_node(domain_xml("instance-2f", metadata=nova_metadata(display_name="web-1", ephemeral_gib=5)))
    samples, instance_id = node.poll(), domain_id("instance-2f")
    resource = resource_of(samples, "cpu", instance_id)
    assert (resource.source, resource.project, resource.user) == ("openstack", PROJECT, USER)
    metadata = resource.metadata
    assert metadata["display_name"] == "web-1"
    assert metadata["name"] == "instance-2f"
    assert metadata["instance_host"] == "cmp-07"
    assert metadata["host"] == sha224(f"{PROJECT}cmp-07".encode()).hexdigest()
    assert (metadata["state"], metadata["status"]) == ("running", "active")
    assert (metadata["vcpus"], metadata["memory_mb"], metadata["cpu_number"]) == (2, 2048, 2)
    assert metadata["flavor"] == {
        "id": "f-2",
        "name": "m1.small",
        "vcpus": 2,
        "ram": 2048,
        "disk": 20,
        "ephemeral": 5,
        "swap": 0,
        "extra_specs": {"hw:cpu_policy": "dedicated"},
    }
    assert metadata["image"] == {"id": IMAGE, "name": None}
    assert metadata["image_ref"] == IMAGE
    assert metadata["image_meta"]["os_distro"] == "debian"


def test_root_size_is_the_flavors_disk_and_not_less_the_ephemeral_one(make_node):
    metadata = nova_metadata(display_name="web", disk_gib=20, ephemeral_gib=5)
    found, instance_id = readings(make_node(domain_xml("a", metadata=metadata)).poll()), domain_id("a")
    assert found["disk.root.size", instance_id] == "20"
    assert found["disk.ephemeral.size", instance_id] == "5"


def test_instance_booted_from_a_volume_has_null_for_its_image(make_node):
    node = make_node(domain_xml("a", metadata=nova_metadata(display_name="db", root="volume")))
    metadata = resource_of(node.poll(), "cpu", domain_id("a")).metadata
    assert metadata["image"] is None
    assert metadata["image_ref"] is None


def test_nova_metadata_of_the_older_namespace_is_read(make_node):
    older = nova_metadata(display_name="old", namespace="http://openstack.org/xmlns/libvirt/nova/1.0")
    assert resource_of(make_node(domain_xml("a", metadata=older)).poll(), "cpu", domain_id("a")).project == PROJECT


def test_domain_without_nova_belongs_to_nobody_and_shows_its_own_name(make_node):
    resource = resource_of(make_node(domain_xml("mail")).poll(), "cpu", domain_id("mail"))
    assert (resource.project, resource.user) == (None, None)
    assert resource.metadata["display_name"] == resource.metadata["name"] == "mail"
    assert resource.metadata["host"] == resource.metadata["instance_host"] == "cmp-07"
    assert (resource.metadata["vcpus"], resource.metadata["memory_mb"]) == (2, 2048)
    assert "flavor" not in resource.metadata
    assert "image" not in resource.metadata


def test_stopped_domain_gives_state_and_size_but_no_counter(make_node):
    found = readings(make_node(domain_xml("off", run_state=5, metadata=nova_metadata(display_name="off"))).poll())
    instance_id = domain_id("off")
    assert {meter for meter, _ in found} == {
        *("instance", "power.state", "vcpus", "memory", "disk.root.size", "disk.ephemeral.size"),
        *("disk.device.capacity", "disk.device.usage", "disk.capacity", "disk.usage"),
    }
    assert found["power.state", instance_id] == "5"
    assert found["memory", instance_id] == "2048"


def test_paused_domain_is_still_counted(make_node):
    samples = make_node(domain_xml("idle", run_state=3)).poll()
    assert readings(samples)["power.state", domain_id("idle")] == "3"
    assert resource_of(samples, "cpu", domain_id("idle")).metadata["state"] == "paused"


def test_domain_without_balloon_gives_no_memory_usage(make_node):
    found = readings(make_node(domain_xml("bare", balloon="none")).poll())
    meters = {meter for meter, _ in found}
    assert "memory" in meters
    assert not meters & {"memory.usage", "memory.available", "memory.swap.in", "memory.swap.out"}


def test_each_disk_with_a_source_is_a_resource_and_totals_add_them(make_node):
    samples = make_node(domain_xml("a", disks=("vda", "vdb"))).poll()
    found, instance_id = readings(samples), domain_id("a")
    devices = [resource_id for meter, resource_id in found if meter == "disk.device.capacity"]
    assert devices == [f"{instance_id}-vda", f"{instance_id}-vdb"], "the empty drive hdc is no disk"
    for total, part in (("disk.capacity", "disk.device.capacity"), ("disk.write.bytes", "disk.device.write.bytes")):
        assert int(found[total, instance_id]) == sum(int(found[part, device]) for device in devices)
    assert resource_of(samples, "disk.write.bytes", instance_id).metadata["device"] == ["vda", "vdb"]
    disk = resource_of(samples, "disk.device.capacity", devices[0])
    assert (disk.metadata["disk_name"], disk.metadata["instance_id"]) == ("vda", instance_id)


def test_each_vnic_is_a_resource_that_names_its_instance(make_node):
    samples, instance_id = make_node(domain_xml("instance-2f", taps=("tapa", "tapb"))).poll(), domain_id("instance-2f")
    incoming = [s.resource for s in samples if s.meter.name == "network.incoming.bytes"]
    assert [nic.id for nic in incoming] == [f"instance-2f-{instance_id}-tapa", f"instance-2f-{instance_id}-tapb"]
    assert incoming[0].metadata["name"] == incoming[0].metadata["vnic_name"] == "tapa"
    assert incoming[0].metadata["mac"] == "52:54:00:00:00:00"
    assert incoming[0].metadata["parameters"] == {"bridge": "br-int"}
    assert incoming[0].metadata["instance_id"] == instance_id


def test_vnic_behind_novas_own_filter_is_named_by_it(make_node):
    filter_name = "nova-instance-instance-2f-525400000000"
    samples = make_node(domain_xml("instance-2f", network_filter=filter_name)).poll()
    nic = next(s.resource for s in samples if s.meter.name == "network.outgoing.bytes")
    assert nic.id == nic.metadata["fref"] == nic.metadata["vnic_name"] == filter_name
    assert nic.metadata["parameters"] == {"bridge": "br-int", "ip": "10.0.0.5"}


def test_vnics_behind_a_shared_filter_stay_apart(make_node):
    domains = [domain_xml(name, taps=(f"tap-{name}",), network_filter="clean-traffic") for name in ("a", "b")]
    nics = {s.resource.id for s in make_node(*domains).poll() if s.meter.name == "network.incoming.bytes"}
    assert nics == {f"a-{domain_id('a')}-tap-a", f"b-{domain_id('b')}-tap-b"}


def test_no_secret_of_the_domain_leaves_the_host(make_node):
    metadata = nova_metadata(display_name="web")
    samples = make_node(domain_xml("a", metadata=metadata, network_filter="clean-traffic")).poll()
    told = json.dumps([msgspec.to_builtins(s.resource) for s in samples])
    for secret in ("hunter2", "cinder", "pool/a-vda", "alice"):
        assert secret not in told


def test_domain_that_vanishes_while_it_is_read_is_left_out_quietly(make_node, monkeypatch):
    node = make_node(domain_xml("stays"), domain_xml("leaves"))
    bulk_call = libvirt.virConnect.getAllDomainStats

    def answer_then_lose(connection, *arguments):
        answers = bulk_call(connection, *arguments)
        connection.lookupByName("leaves").destroy()
        connection.lookupByName("leaves").undefine()
        return answers

    monkeypatch.setattr(libvirt.virConnect, "getAllDomainStats", answer_then_lose)
    assert {s.resource.id for s in node.poll() if s.meter.name == "cpu"} == {domain_id("stays")}


def test_one_domain_that_cannot_be_read_is_reported_and_the_rest_go_on(make_node, monkeypatch):
    node = make_node(domain_xml("good"), domain_xml("bad"))
    read_xml = libvirt.virDomain.XMLDesc
    monkeypatch.setattr(
        libvirt.virDomain, "XMLDesc", lambda domain: "<domain" if domain.name() == "bad" else read_xml(domain)
    )
    cycle = make_cycle()
    instances = node.local_instances.discover(cycle)
    assert [instance.description.name for instance in instances] == ["good"]
    (problem,) = cycle.problems
    assert problem.where == f"domain bad ({domain_id('bad')})"
    assert "its XML cannot be read" in problem.what


def test_stopping_a_domain_reads_its_xml_again_and_changes_its_state(make_node, calls):
    node = make_node(domain_xml("a"), domain_xml("b"))
    node.poll()
    node.connection.lookupByName("a").destroy()
    samples = node.poll(300)
    assert calls["XMLDesc"] == 3
    resource = resource_of(samples, "power.state", domain_id("a"))
    assert (resource.metadata["state"], resource.metadata["status"]) == ("shutdown", "stopped")


def test_xml_is_read_again_after_an_hour(make_node, calls):
    node = make_node(domain_xml("a"))
    node.poll()
    node.poll(3500)
    assert calls["XMLDesc"] == 1
    node.poll(3601)
    assert calls["XMLDesc"] == 2


def test_domain_that_is_gone_is_forgotten_and_a_new_one_is_found(make_node):
    node = make_node(domain_xml("old"))
    node.poll()
    node.connection.lookupByName("old").destroy()
    node.connection.lookupByName("old").undefine()
    node.connection.createXML(domain_xml("new"))
    assert {s.resource.id for s in node.poll(300) if s.meter.name == "instance"} == {domain_id("new")}


def test_very_long_domain_name_still_gives_a_vnic_id_that_fits(make_node):
    name = "n" * 240
    nics = [s.resource.id for s in make_node(domain_xml(name)).poll() if s.meter.name == "network.incoming.bytes"]
    assert nics == [f"{domain_id(name)}-tap0"]
