"""A real hypervisor, read as in production: QEMU under a libvirtd of our own (emulated, so no KVM is needed)."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import libvirt
import pytest

from agents.compute.hypervisor import Hypervisor
from agents.compute.instances import LocalInstances
from agents.contract import Cycle, DiscoveryFailed
from tests.support.libvirt_file import PROJECT, nova_metadata
from tests.support.qemu import CannotBuildGuest, CannotRunLibvirt, PrivateLibvirt

from .conftest import readings, take_samples

BOOT_SECONDS = 90
CACHE = Path(__file__).parents[3] / "var" / "cache" / "guest"


@pytest.fixture(scope="module")
def hypervisor():
    try:
        with PrivateLibvirt(cache=CACHE) as private:
            private.start_guest("instance-0001", metadata=nova_metadata(display_name="web"))
            private.define_stopped("off")
            yield private
    except (CannotBuildGuest, CannotRunLibvirt) as reason:
        pytest.skip(str(reason))


@pytest.fixture
def local_instances(hypervisor):
    return LocalInstances(Hypervisor(hypervisor.uri, answer_seconds=5))


@pytest.fixture(scope="module")
def guest(hypervisor):
    """The UUID of the guest, once it has booted and its balloon speaks."""
    deadline = time.monotonic() + BOOT_SECONDS
    connection = libvirt.openReadOnly(hypervisor.uri)
    domain = connection.lookupByName("instance-0001")
    while not {"usable", "last_update"} <= domain.memoryStats().keys() or domain.blockStats("vda")[3] == 0:
        assert time.monotonic() < deadline, f"the guest did not come up: {hypervisor.console('instance-0001')[-2000:]}"
        time.sleep(0.5)
    return domain.UUIDString()


def take(local_instances):
    cycle = Cycle(node="cmp-07", timestamp=time.time_ns() // 1000)
    samples = take_samples(local_instances.discover(cycle), cycle)
    assert cycle.problems == []
    return samples


def test_counters_of_a_real_guest_rise_between_two_polls(guest, local_instances):
    vnic = f"instance-0001-{guest}-celotap0"
    rising = [
        ("cpu", guest),
        *((f"disk.{what}", guest) for what in ("read.bytes", "read.requests", "write.bytes", "write.requests")),
        *((f"disk.device.write.{what}", f"{guest}-vda") for what in ("bytes", "requests", "latency")),
        *((f"network.{way}.{what}", vnic) for way in ("incoming", "outgoing") for what in ("bytes", "packets")),
    ]
    first = readings(take(local_instances))
    deadline = time.monotonic() + 30
    while True:
        time.sleep(0.5)
        second = readings(take(local_instances))
        still = [key for key in rising if int(second[key]) <= int(first[key])]
        if not still:
            break
        assert time.monotonic() < deadline, f"did not rise within 30 s: {still}"


def test_cpu_of_a_real_guest_cannot_outrun_its_one_core(guest, local_instances):
    first, started = readings(take(local_instances)), time.monotonic_ns()
    time.sleep(2)
    second, ended = readings(take(local_instances)), time.monotonic_ns()
    spent = int(second["cpu", guest]) - int(first["cpu", guest])
    assert 0 < spent <= (ended - started) * 1.1


def test_memory_of_a_real_guest_adds_up(guest, local_instances):
    found = readings(take(local_instances))
    assert found["memory", guest] == "160"
    usage, available = float(found["memory.usage", guest]), float(found["memory.available", guest])
    assert 0 < usage < available < 160
    assert float(found["memory.resident", guest]) > usage


def test_a_real_guest_carries_its_owner_and_its_devices(guest, local_instances):
    samples = take(local_instances)
    cpu = next(s for s in samples if s.meter.name == "cpu" and s.resource.id == guest)
    assert cpu.resource.project == PROJECT
    assert cpu.resource.metadata["display_name"] == "web"
    assert cpu.resource.metadata["cpu_number"] == 1
    found = readings(samples)
    assert found["disk.device.capacity", f"{guest}-vda"] == str(16 * 1024 * 1024)
    assert ("disk.device.capacity", f"{guest}-hda") not in found, "an empty drive is no disk"
    nic = next(s.resource for s in samples if s.meter.name == "network.incoming.bytes")
    assert (nic.metadata["mac"], nic.metadata["name"]) == ("52:54:00:99:00:02", "celotap0")


def test_stopped_qemu_domain_gives_state_and_size_but_no_counter(hypervisor, local_instances):
    samples = take(local_instances)
    found = {s.meter.name: s.volume for s in samples if s.resource.metadata["name"] == "off"}
    assert found == {"instance": "1", "power.state": "5", "vcpus": "1", "memory": "64"}


def test_suspended_guest_uses_no_cpu_and_is_told_as_paused(hypervisor, guest, local_instances):
    domain = hypervisor.open().lookupByUUIDString(guest)
    domain.suspend()
    try:
        first = readings(take(local_instances))
        time.sleep(1)
        second = readings(take(local_instances))
    finally:
        domain.resume()
    assert second["power.state", guest] == "3"
    assert second["cpu", guest] == first["cpu", guest]


def test_qemu_domain_that_vanishes_while_it_is_read_is_left_out_quietly(hypervisor, local_instances, monkeypatch):
    (gone,) = hypervisor.start_crowd(1)
    bulk_call = libvirt.virConnect.getAllDomainStats

    def answer_then_lose(connection, *arguments):
        answers = bulk_call(connection, *arguments)
        hypervisor.open().lookupByUUIDString(gone).destroy()
        return answers

    monkeypatch.setattr(libvirt.virConnect, "getAllDomainStats", answer_then_lose)
    assert gone not in {s.resource.id for s in take(local_instances)}


def test_restarted_libvirtd_costs_no_cycle(hypervisor, guest, local_instances):
    before = readings(take(local_instances))
    hypervisor.restart_daemon()
    after = readings(take(local_instances))
    assert int(after["cpu", guest]) > int(before["cpu", guest])


def test_libvirtd_that_hangs_is_given_up_and_comes_back_by_itself(hypervisor, guest):
    local_instances = LocalInstances(Hypervisor(hypervisor.uri, answer_seconds=1))
    take(local_instances)
    hypervisor.suspend_daemon()
    try:
        with pytest.raises(DiscoveryFailed, match="did not answer within 1 s"):
            take(local_instances)
        with pytest.raises(DiscoveryFailed, match="still owes the answer"):
            take(local_instances)
    finally:
        hypervisor.resume_daemon()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            assert ("cpu", guest) in readings(take(local_instances))
            return
        except DiscoveryFailed:
            time.sleep(0.2)
    pytest.fail("libvirt answered again, and was not read again within 20 s")


def test_another_process_reads_the_same_hypervisor_by_its_uri(hypervisor, guest):
    script = (
        "import sys\nfrom agents.compute import discoveries\nfrom agents.contract import Cycle\n"
        "found = discoveries(sys.argv[1])[0].discover(Cycle(node='n', timestamp=1))\n"
        "print(sorted(instance.description.name for instance in found))"
    )
    finished = subprocess.run(
        [sys.executable, "-c", script, hypervisor.uri], capture_output=True, text=True, check=True, timeout=60
    )
    assert finished.stdout == "['instance-0001', 'off']\n"
    assert finished.stderr == ""
