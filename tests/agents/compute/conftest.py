from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import libvirt
import pytest

from agents.compute import POLLSTERS
from agents.compute.hypervisor import Hypervisor
from agents.compute.instances import LocalInstances
from agents.contract import Cycle, Sample
from tests.support.libvirt_file import write_node

START = 1_790_000_000_000_000
Readings = dict[tuple[str, str], str]


def make_cycle(seconds: int = 0) -> Cycle:
    return Cycle(node="cmp-07", timestamp=START + seconds * 1_000_000)


def take_samples(targets: Sequence[Any], cycle: Cycle, *, discovery: str = "local_instances") -> list[Sample]:
    """What all pollsters of one discovery make of its targets."""
    return [
        sample
        for pollster in POLLSTERS
        if pollster.discovery == discovery
        for sample in pollster.samples(targets, cycle)
    ]


def readings(samples: Iterable[Sample]) -> Readings:
    """The volumes by meter name and resource id."""
    found: Readings = {}
    for sample in samples:
        key = (sample.meter.name, sample.resource.id)
        assert key not in found, f"two samples of {key} in one cycle"
        found[key] = sample.volume
    return found


class Node:
    """A node of libvirt's test driver, and its discovery; ``connection`` is the one that the discovery reads over."""

    def __init__(self, uri: str, opened: list[libvirt.virConnect]) -> None:
        self.local_instances = LocalInstances(Hypervisor(uri))
        self._opened = opened

    @property
    def connection(self) -> libvirt.virConnect:
        return self._opened[-1]

    def poll(self, seconds: int = 0) -> list[Sample]:
        cycle = make_cycle(seconds)
        samples = take_samples(self.local_instances.discover(cycle), cycle)
        assert cycle.problems == []
        return samples


@pytest.fixture
def make_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Node]:
    """Make a node from domains' XML. The test driver's state lives in one connection, so the test shares the agent's."""
    opened: list[libvirt.virConnect] = []

    def open_and_keep(uri: str) -> libvirt.virConnect:
        opened.append(libvirt.open(uri))
        return opened[-1]

    monkeypatch.setattr(libvirt, "openReadOnly", open_and_keep)

    def make(*domains: str) -> Node:
        return Node(write_node(tmp_path / "node.xml", domains), opened)

    return make
