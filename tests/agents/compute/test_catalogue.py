"""What the registry gets, and what happens where libvirt is missing or away."""

from __future__ import annotations

import subprocess
import sys

import pytest

from agents.compute import POLLSTERS, discoveries
from agents.contract import DiscoveryFailed

from .conftest import make_cycle, take_samples

POLL_IN_A_PROCESS = """
import sys
{before}
from agents.compute import POLLSTERS, discoveries
from agents.contract import Cycle, DiscoveryFailed
cycle = Cycle(node="n", timestamp=1)
for discovery in discoveries("{uri}"):
    try:
        found = discovery.discover(cycle)
    except DiscoveryFailed as failure:
        print(discovery.name, "failed:", failure)
    else:
        print(discovery.name, "found", len(found) > 0)
"""


def poll_in_a_process(uri, before=""):
    script = POLL_IN_A_PROCESS.format(before=before, uri=uri)
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return finished.stdout.splitlines(), finished.stderr


def test_every_pollster_has_a_name_of_its_own_and_reads_a_discovery_that_exists():
    names = [pollster.name for pollster in POLLSTERS]
    assert len(names) == len(set(names))
    assert {pollster.discovery for pollster in POLLSTERS} == {discovery.name for discovery in discoveries()}


def test_every_meter_is_named_after_its_pollster_and_has_one_type_and_unit(make_node):
    for pollster in POLLSTERS:
        assert pollster.meter.name == pollster.name
        assert pollster.meter.type in ("gauge", "cumulative")


@pytest.mark.parametrize(
    ("name", "type_", "unit"),
    [
        ("cpu", "cumulative", "ns"),
        ("memory.usage", "gauge", "MiB"),
        ("disk.root.size", "gauge", "GiB"),
        ("disk.device.read.requests", "cumulative", "request"),
        ("disk.device.write.latency", "cumulative", "ns"),
        ("disk.capacity", "gauge", "B"),
        ("network.outgoing.packets.drop", "cumulative", "packet"),
        ("instance", "gauge", "instance"),
        ("perf.cache.misses", "gauge", ""),
        ("hardware.cpu.wait", "cumulative", "tick"),
        ("hardware.disk.write.requests", "cumulative", "requests"),
        ("hardware.memory.swap.avail", "gauge", "KB"),
        ("hardware.system_stats.io.incoming.blocks", "cumulative", "blocks"),
    ],
)
def test_meters_keep_the_type_and_unit_that_openstack_gave_them(name, type_, unit):
    (meter,) = [pollster.meter for pollster in POLLSTERS if pollster.name == name]
    assert (meter.type, meter.unit) == (type_, unit)


def test_unreachable_libvirt_is_named_with_its_reason_and_the_host_is_still_metered():
    uri = "qemu:///system?socket=/nonexistent/libvirt-sock-ro"
    failing, local_node = discoveries(uri)
    with pytest.raises(DiscoveryFailed, match="Failed to connect socket to '/nonexistent/libvirt-sock-ro'") as failure:
        failing.discover(make_cycle())
    assert uri in str(failure.value)
    assert take_samples(local_node.discover(make_cycle()), make_cycle(), discovery="local_node")


def test_libvirts_own_messages_do_not_reach_stderr():
    said, complaints = poll_in_a_process("qemu:///system?socket=/nonexistent/libvirt-sock-ro")
    assert said[0].startswith("local_instances failed: libvirt at qemu:///system?socket=/nonexistent")
    assert said[1] == "local_node found True"
    assert complaints == ""


def test_without_libvirt_python_the_host_is_metered_and_one_line_says_what_is_missing():
    said, complaints = poll_in_a_process("test:///default", before='sys.modules["libvirt"] = None')
    assert said == [
        "local_instances failed: libvirt-python is not installed: no instance can be metered "
        "(pip install -r requirements/compute.txt)",
        "local_node found True",
    ]
    assert complaints == ""
