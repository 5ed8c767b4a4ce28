"""What is made of a bulk reply as QEMU gives it: recorded from libvirt 9.0 with one guest, then bent rule by rule."""

from __future__ import annotations

from typing import Any

import pytest

from agents.compute.cpu_clock import CpuClock
from agents.compute.domain_xml import parse_domain
from agents.compute.fallback import completion_for
from agents.compute.hypervisor import Hypervisor
from agents.compute.instances import LocalInstances
from tests.support.libvirt_file import domain_id, domain_xml

from .conftest import START, make_cycle, readings, take_samples

INSTANCE = domain_id("web")
NOW_SECONDS = START // 1_000_000
RECORDED: dict[str, Any] = {
    "state.state": 1,
    "state.reason": 1,
    "cpu.time": 11920000000,
    "cpu.user": 10720000000,
    "cpu.system": 1200000000,
    "balloon.current": 163841,
    "balloon.maximum": 163840,
    "balloon.swap_in": 0,
    "balloon.swap_out": 512,
    "balloon.unused": 95840,
    "balloon.available": 125308,
    "balloon.usable": 100828,
    "balloon.last-update": NOW_SECONDS - 2,
    "balloon.disk_caches": 2488,
    "balloon.rss": 243808,
    "vcpu.current": 2,
    "vcpu.maximum": 4,
    "vcpu.0.state": 1,
    "vcpu.0.time": 13350000000,
    "vcpu.0.wait": 5,
    "vcpu.2.state": 1,
    "vcpu.2.time": 1000000000,
    "vcpu.2.wait": 6,
    "net.count": 1,
    "net.0.name": "tap0",
    "net.0.rx.bytes": 33836,
    "net.0.rx.pkts": 350,
    "net.0.rx.errs": 1,
    "net.0.rx.drop": 2,
    "net.0.tx.bytes": 18446744073709551615,
    "net.0.tx.pkts": 350,
    "net.0.tx.errs": 3,
    "net.0.tx.drop": 4,
    "block.count": 2,
    "block.0.name": "vda",
    "block.0.path": "/var/lib/web.img",
    "block.0.rd.reqs": 1007,
    "block.0.rd.bytes": 131731968,
    "block.0.rd.times": 164132027,
    "block.0.wr.reqs": 335,
    "block.0.wr.bytes": 87818240,
    "block.0.wr.times": 89650562,
    "block.0.allocation": 262144,
    "block.0.capacity": 16777216,
    "block.0.physical": 16781312,
    "block.1.name": "hdc",
    "block.1.rd.reqs": 0,
    "block.1.rd.bytes": 0,
    "perf.cpu_cycles": 77,
}


class RecordedDomain:
    """Stands for libvirt's handle of a domain."""

    def name(self):
        return "web"

    def ID(self):
        return 1

    def UUIDString(self):
        return INSTANCE

    def XMLDesc(self):
        return domain_xml("web")


class RecordedQemu:
    """Stands for a connection to QEMU whose bulk call answers what was recorded."""

    def __init__(self, stats):
        self.stats = stats

    def getType(self):
        return "QEMU"

    def getAllDomainStats(self, groups, flags):
        return [(RecordedDomain(), self.stats)]


class Recording(Hypervisor):
    def __init__(self, stats):
        super().__init__("qemu:///recorded")
        self._recorded = RecordedQemu(stats)

    def ask(self, question):
        return question(self._recorded)


def poll_stats(stats):
    """The readings of the recorded domain when its bulk reply is this."""
    cycle = make_cycle()
    return readings(take_samples(LocalInstances(Recording(stats)).discover(cycle), cycle))


def without(*keys):
    return {key: value for key, value in RECORDED.items() if not key.startswith(keys)}


def test_recorded_reply_gives_every_meter_of_the_table():
    found = poll_stats(RECORDED)
    vnic = f"web-{INSTANCE}-tap0"
    assert found == {
        ("instance", INSTANCE): "1",
        ("power.state", INSTANCE): "1",
        ("cpu", INSTANCE): "14350000011",
        ("vcpus", INSTANCE): "2",
        ("memory", INSTANCE): "160.0009765625",
        ("memory.available", INSTANCE): "122.37109375",
        ("memory.usage", INSTANCE): "23.90625",
        ("memory.resident", INSTANCE): "238.09375",
        ("memory.swap.in", INSTANCE): "0",
        ("memory.swap.out", INSTANCE): "0.5",
        ("perf.cpu.cycles", INSTANCE): "77",
        ("disk.device.read.requests", f"{INSTANCE}-vda"): "1007",
        ("disk.device.read.bytes", f"{INSTANCE}-vda"): "131731968",
        ("disk.device.read.latency", f"{INSTANCE}-vda"): "164132027",
        ("disk.device.write.requests", f"{INSTANCE}-vda"): "335",
        ("disk.device.write.bytes", f"{INSTANCE}-vda"): "87818240",
        ("disk.device.write.latency", f"{INSTANCE}-vda"): "89650562",
        ("disk.device.capacity", f"{INSTANCE}-vda"): "16781312",
        ("disk.device.allocation", f"{INSTANCE}-vda"): "262144",
        ("disk.device.usage", f"{INSTANCE}-vda"): "16781312",
        ("disk.read.requests", INSTANCE): "1007",
        ("disk.read.bytes", INSTANCE): "131731968",
        ("disk.write.requests", INSTANCE): "335",
        ("disk.write.bytes", INSTANCE): "87818240",
        ("disk.capacity", INSTANCE): "16781312",
        ("disk.allocation", INSTANCE): "262144",
        ("disk.usage", INSTANCE): "16781312",
        ("network.incoming.bytes", vnic): "33836",
        ("network.incoming.packets", vnic): "350",
        ("network.incoming.packets.error", vnic): "1",
        ("network.incoming.packets.drop", vnic): "2",
        ("network.outgoing.bytes", vnic): "18446744073709551615",
        ("network.outgoing.packets", vnic): "350",
        ("network.outgoing.packets.error", vnic): "3",
        ("network.outgoing.packets.drop", vnic): "4",
    }


def test_group_that_a_busy_domain_leaves_out_is_a_gap_and_is_not_asked_for_again():
    meters = {meter for meter, _ in poll_stats(without("balloon.", "block."))}
    assert meters == {
        *("instance", "power.state", "cpu", "vcpus", "perf.cpu.cycles"),
        *(f"network.{way}.bytes" for way in ("incoming", "outgoing")),
        *(f"network.{way}.packets" for way in ("incoming", "outgoing")),
        *(f"network.{way}.packets.{what}" for way in ("incoming", "outgoing") for what in ("error", "drop")),
    }


def test_zero_is_a_value_and_not_a_gap():
    assert poll_stats(RECORDED | {"block.0.wr.bytes": 0})["disk.write.bytes", INSTANCE] == "0"


def test_total_with_an_unknown_part_is_unknown():
    stats = {key: value for key, value in RECORDED.items() if key != "block.0.wr.bytes"}
    found = poll_stats(stats)
    assert ("disk.write.bytes", INSTANCE) not in found
    assert ("disk.write.requests", INSTANCE) in found


def test_memory_usage_counts_cache_as_used_where_the_guest_does_not_tell_usable():
    stats = {key: value for key, value in RECORDED.items() if key != "balloon.usable"}
    assert poll_stats(stats)["memory.usage", INSTANCE] == "28.77734375"


@pytest.mark.parametrize("updated_at_seconds", [0, NOW_SECONDS - 301])
def test_balloon_that_no_longer_speaks_gives_no_usage(updated_at_seconds):
    found = poll_stats(RECORDED | {"balloon.last-update": updated_at_seconds})
    meters = {meter for meter, _ in found}
    assert not meters & {"memory.usage", "memory.available", "memory.swap.in", "memory.swap.out"}
    assert {"memory", "memory.resident"} <= meters, "these are the host's own knowledge"


def test_swap_is_told_in_both_directions_or_not_at_all():
    stats = {key: value for key, value in RECORDED.items() if key != "balloon.swap_in"}
    assert ("memory.swap.out", INSTANCE) not in poll_stats(stats)


def test_stopped_domain_gives_no_cpu_though_libvirt_tells_some():
    # libvirt 9.0 answers with the CPU time of libvirtd itself.
    found = poll_stats({"state.state": 5, "cpu.time": 230000000, "vcpu.current": 1, "balloon.current": 65536})
    assert found == {
        ("instance", INSTANCE): "1",
        ("power.state", INSTANCE): "5",
        ("vcpus", INSTANCE): "1",
        ("memory", INSTANCE): "64",
    }


def test_cpu_sums_running_and_waiting_over_vcpus_with_holes():
    assert CpuClock().read(RECORDED, run_id=1) == 13350000000 + 5 + 1000000000 + 6


def test_cpu_falls_back_to_the_process_when_a_vcpu_is_untold():
    stats = {key: value for key, value in RECORDED.items() if key != "vcpu.2.wait"}
    assert CpuClock().read(stats, run_id=1) == 11920000000


def test_cpu_never_changes_its_way_of_counting_during_one_run():
    clock = CpuClock()
    clock.read(RECORDED, run_id=1)
    assert clock.read(without("vcpu."), run_id=1) is None, "a gap, not a jump"
    assert clock.read(RECORDED, run_id=1) == 14350000011
    assert clock.read(without("vcpu."), run_id=2) == 11920000000, "a new run starts a new counter"


def test_qemu_is_never_asked_domain_by_domain():
    complete = completion_for(RecordedQemu({}))
    assert complete(None, parse_domain(domain_xml("web")), {"state.state": 1}) == {"state.state": 1}
