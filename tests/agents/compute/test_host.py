"""This node's own meters, held against the kernel's files."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from agents.compute.host import LocalNode

from .conftest import make_cycle, readings, take_samples

DIRECTIONS = ("incoming", "outgoing")


def poll(local_node=None):
    cycle = make_cycle()
    samples = take_samples((local_node or LocalNode()).discover(cycle), cycle, discovery="local_node")
    assert cycle.problems == []
    return samples


def burn_cpu(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_host_is_a_resource_of_source_hardware_that_belongs_to_nobody():
    for sample in poll():
        assert sample.resource.source == "hardware"
        assert (sample.resource.project, sample.resource.user) == (None, None)
        assert sample.resource.id == "cmp-07" or sample.resource.id.startswith("cmp-07.")
        assert sample.resource.metadata["host"] == "cmp-07"


def test_memory_is_what_the_kernel_tells():
    lines = (line.split() for line in Path("/proc/meminfo").read_text().splitlines())
    kernel = {name: value for name, value, *_ in lines}
    assert readings(poll())["hardware.memory.total", "cmp-07"] == kernel["MemTotal:"]


def test_cpu_ticks_are_counters_that_rise():
    before = readings(poll())
    burn_cpu(0.3)
    after = readings(poll())
    ticks = [int(found["hardware.cpu.user", "cmp-07"]) for found in (before, after)]
    assert ticks[1] > ticks[0]
    meter = next(s.meter for s in poll() if s.meter.name == "hardware.cpu.user")
    assert (meter.type, meter.unit) == ("cumulative", "tick")


def test_cpu_share_covers_the_time_since_the_previous_poll():
    local_node = LocalNode()
    burn_cpu(0.3)
    found = readings(poll(local_node))
    assert 0 < float(found["hardware.cpu.util", "cmp-07"]) <= 100
    assert 0 <= float(found["hardware.system_stats.cpu.idle", "cmp-07"]) < 100


def test_cpu_share_without_time_passed_is_a_gap():
    local_node = LocalNode()
    burn_cpu(0.3)
    poll(local_node)
    found = readings(poll(local_node))
    assert ("hardware.cpu.util", "cmp-07") not in found
    assert ("hardware.cpu.user", "cmp-07") in found


def test_each_file_system_is_told_once_with_its_path():
    samples = [s for s in poll() if s.meter.name == "hardware.disk.size.total"]
    if not psutil.disk_partitions(all=False):
        pytest.skip("machine: no file system on a device here")
    for sample in samples:
        path = sample.resource.metadata["path"]
        assert sample.resource.id == f"cmp-07.{sample.resource.metadata['device']}"
        assert float(sample.volume) * 1024 == psutil.disk_usage(path).total


def test_interfaces_carry_their_names_and_count_bytes():
    samples = [s for s in poll() if s.meter.name == "hardware.network.incoming.bytes"]
    assert "cmp-07.lo" in {s.resource.id for s in samples}
    for sample in samples:
        assert sample.resource.metadata["name"] == sample.resource.id.removeprefix("cmp-07.")
        assert ":" not in sample.resource.metadata.get("mac", "")


def test_datagrams_and_paging_come_from_the_kernels_files():
    found = readings(poll())
    for direction in DIRECTIONS:
        assert int(found[f"hardware.network.ip.{direction}.datagrams", "cmp-07"]) >= 0
        assert int(found[f"hardware.system_stats.io.{direction}.blocks", "cmp-07"]) >= 0


def test_description_of_the_host_does_not_move_between_polls():
    local_node = LocalNode()
    first = {s.resource.id: s.resource.metadata for s in poll(local_node)}
    burn_cpu(0.2)
    assert {s.resource.id: s.resource.metadata for s in poll(local_node)} == first


def test_file_system_that_does_not_answer_is_reported_and_the_rest_go_on(monkeypatch):
    def fail(path):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(psutil, "disk_usage", fail)
    broken = SimpleNamespace(device="/dev/sdz1", mountpoint="/broken", fstype="ext4", opts="rw")
    monkeypatch.setattr(psutil, "disk_partitions", lambda all: [broken])
    cycle = make_cycle()
    found = readings(take_samples(LocalNode().discover(cycle), cycle, discovery="local_node"))
    assert ("hardware.memory.total", "cmp-07") in found
    (problem,) = cycle.problems
    assert problem.what == "file system /dev/sdz1 on /broken: Input/output error"


def test_kind_of_part_that_fails_is_reported_and_the_rest_go_on(monkeypatch):
    def fail(perdisk):
        raise NotImplementedError("no /proc/diskstats here")

    monkeypatch.setattr(psutil, "disk_io_counters", fail)
    cycle = make_cycle()
    found = readings(take_samples(LocalNode().discover(cycle), cycle, discovery="local_node"))
    assert ("hardware.network.incoming.bytes", "cmp-07.lo") in found
    assert [problem.what for problem in cycle.problems] == ["read_disks: no /proc/diskstats here"]
