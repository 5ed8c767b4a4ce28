"""One make-believe instance: what it is, what happens to it, and what a poll of it gives."""

from __future__ import annotations

from hashlib import sha224
from random import Random
from typing import Any
from uuid import UUID

from metering.messages import Meter, Resource, Sample

from .shop import FLAVORS, IMAGES, Flavor, Habit

__all__ = ["SOURCE", "Instance"]

SOURCE = "openstack"
_VCPUS = Meter("vcpus", "gauge", "vcpu")
_MEMORY = Meter("memory", "gauge", "MiB")
_ROOT = Meter("disk.root.size", "gauge", "GiB")
_CPU = Meter("cpu", "cumulative", "ns")
_MEMORY_USAGE = Meter("memory.usage", "gauge", "MiB")
_READ = Meter("disk.read.bytes", "cumulative", "B")
_WRITE = Meter("disk.write.bytes", "cumulative", "B")
_INCOMING = Meter("network.incoming.bytes", "cumulative", "B")
_OUTGOING = Meter("network.outgoing.bytes", "cumulative", "B")
_BYTES_PER_BUSY_SECOND = 240_000


class Instance:
    """An instance as its hypervisor and its owner would describe it; counters begin again when it is started or moved."""

    def __init__(self, random: Random, *, node: str, project: str, user: str, habit: Habit, number: int) -> None:
        self._random = random
        self.id = str(UUID(int=random.getrandbits(128), version=4))
        self.node = node
        self.project, self.user = project, user
        self.habit = habit
        self.name = f"{habit.name}-{number:03d}"
        self.flavor: Flavor = random.choice(FLAVORS)
        self.image = random.choice(IMAGES)
        self.is_running = True
        self._appetite = random.uniform(0.6, 1.2)
        self._tap = f"tap{self.id[:8]}-{self.id[9:11]}"
        self.reset_counters()
        self._describe()

    def reset_counters(self) -> None:
        """What the hypervisor counts begins at zero: the domain was started anew."""
        self._cpu_ns = self._read = self._written = self._received = self._sent = 0

    def start(self) -> None:
        self.is_running = True
        self.reset_counters()
        self._describe()

    def stop(self) -> None:
        self.is_running = False
        self._describe()

    def resize(self, flavor: Flavor) -> None:
        """Another size, which takes a new start."""
        self.flavor = flavor
        self.start()

    def migrate(self, node: str) -> None:
        """To another node, where a new domain counts from zero."""
        self.node = node
        self.reset_counters()
        self._describe()

    def run(self, seconds: int, *, until: int) -> None:
        """Let this much time pass, up to ``until``: counters grow with the load of that hour."""
        if not self.is_running:
            return
        load = min(1.0, self.habit.load_at(until) * self._appetite * self._random.uniform(0.8, 1.2))
        busy = self.flavor.vcpus * load * seconds
        self._load = load
        self._cpu_ns += int(busy * 1_000_000_000)
        traffic = int(busy * _BYTES_PER_BUSY_SECOND)
        self._read += traffic // 8 * 3 + 4096
        self._written += traffic // 4 + 8192
        self._received += traffic + 600
        self._sent += traffic * 3 + 400

    def poll(self, timestamp: int) -> list[Sample]:
        """What a hypervisor tells about it: a stopped one has a size but counts nothing."""
        instance, vnic, flavor = self._instance, self._vnic, self.flavor
        sizes = [
            Sample(_VCPUS, instance, timestamp, str(flavor.vcpus)),
            Sample(_MEMORY, instance, timestamp, str(flavor.ram_mib)),
            Sample(_ROOT, instance, timestamp, str(flavor.disk_gib)),
        ]
        if not self.is_running:
            return sizes
        used = int(flavor.ram_mib * (0.25 + 0.6 * self._load))
        return [
            *sizes,
            Sample(_CPU, instance, timestamp, str(self._cpu_ns)),
            Sample(_MEMORY_USAGE, instance, timestamp, str(used)),
            Sample(_READ, instance, timestamp, str(self._read)),
            Sample(_WRITE, instance, timestamp, str(self._written)),
            Sample(_INCOMING, vnic, timestamp, str(self._received)),
            Sample(_OUTGOING, vnic, timestamp, str(self._sent)),
        ]

    def _describe(self) -> None:
        """New resources for what changed; as long as nothing does, the same objects stand in every poll."""
        self._load = 0.0
        facts = self._facts()
        self._instance = self._resource(self.id, facts)
        vnic = {
            "name": self._tap,
            "vnic_name": self._tap,
            "mac": f"fa:16:3e:{self.id[:2]}:{self.id[2:4]}:{self.id[4:6]}",
        }
        self._vnic = self._resource(f"{self.name}-{self.id}-{self._tap}", facts | vnic)

    def _resource(self, resource_id: str, facts: dict[str, Any]) -> Resource:
        return Resource(id=resource_id, source=SOURCE, project=self.project, user=self.user, metadata=facts)

    def _facts(self) -> dict[str, Any]:
        flavor = self.flavor
        return {
            "display_name": self.name,
            "instance_id": self.id,
            "host": sha224(f"{self.project}{self.node}".encode()).hexdigest(),
            "instance_host": self.node,
            "state": "running" if self.is_running else "shutdown",
            "status": "active" if self.is_running else "stopped",
            "vcpus": flavor.vcpus,
            "memory_mb": flavor.ram_mib,
            "disk_gb": flavor.disk_gib,
            "instance_type": flavor.name,
            "flavor": {"name": flavor.name, "vcpus": flavor.vcpus, "ram": flavor.ram_mib, "disk": flavor.disk_gib},
            "image": {"name": self.image.name},
        }
