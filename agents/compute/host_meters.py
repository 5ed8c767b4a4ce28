"""The meters of the host: one row each. Pure.

Names and units are those of OpenStack's SNMP pollsters. CPU ticks, disk bytes and requests are counters and typed so
here; there they were called gauges. ``hardware.cpu.util`` is the share of all busy time, not of user time alone. KB is KiB.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from agents.contract import Cycle, Meter, Pollster, Sample, volume_text

from .host import HostPart, PartKind

__all__ = ["HOST_POLLSTERS"]


@dataclass(frozen=True)
class HostPollster:
    """Reads a meter from the value called ``key`` of every part of one kind."""

    discovery: ClassVar[str] = "local_node"
    meter: Meter
    kind: PartKind
    key: str

    @property
    def name(self) -> str:
        return self.meter.name

    def samples(self, targets: Sequence[HostPart], cycle: Cycle) -> Iterator[Sample]:
        for part in targets:
            value = part.values.get(self.key) if part.kind == self.kind else None
            if value is not None:
                yield Sample(self.meter, part.resource, cycle.timestamp, volume_text(self._in_unit(value)))

    def _in_unit(self, value: int | float) -> int | float | Decimal:
        if self.meter.unit != "KB":
            return value
        whole, rest = divmod(value, 1024)
        return int(whole) if rest == 0 else Decimal(value) / 1024


# name after ``hardware.``, unit, kind of part, key
_GAUGES: list[tuple[str, str, PartKind, str]] = [
    ("cpu.load.1min", "process", "node", "load.1"),
    ("cpu.load.5min", "process", "node", "load.5"),
    ("cpu.load.15min", "process", "node", "load.15"),
    ("cpu.util", "%", "node", "cpu.busy_share"),
    ("system_stats.cpu.idle", "%", "node", "cpu.idle_share"),
    ("memory.total", "KB", "node", "memory.total"),
    ("memory.used", "KB", "node", "memory.used"),
    ("memory.buffer", "KB", "node", "memory.buffers"),
    ("memory.cached", "KB", "node", "memory.cached"),
    ("memory.swap.total", "KB", "node", "swap.total"),
    ("memory.swap.avail", "KB", "node", "swap.free"),
    ("disk.size.total", "KB", "filesystem", "size.total"),
    ("disk.size.used", "KB", "filesystem", "size.used"),
]
_COUNTERS: list[tuple[str, str, PartKind, str]] = [
    ("cpu.user", "tick", "node", "cpu.user"),
    ("cpu.nice", "tick", "node", "cpu.nice"),
    ("cpu.system", "tick", "node", "cpu.system"),
    ("cpu.idle", "tick", "node", "cpu.idle"),
    ("cpu.wait", "tick", "node", "cpu.iowait"),
    ("cpu.kernel", "tick", "node", "cpu.system"),
    ("cpu.interrupt", "tick", "node", "cpu.irq"),
    ("disk.read.bytes", "B", "disk", "read.bytes"),
    ("disk.write.bytes", "B", "disk", "write.bytes"),
    ("disk.read.requests", "requests", "disk", "read.requests"),
    ("disk.write.requests", "requests", "disk", "write.requests"),
    ("network.incoming.bytes", "B", "interface", "incoming.bytes"),
    ("network.outgoing.bytes", "B", "interface", "outgoing.bytes"),
    ("network.outgoing.errors", "packet", "interface", "outgoing.errors"),
    ("network.ip.incoming.datagrams", "datagrams", "node", "ip.incoming"),
    ("network.ip.outgoing.datagrams", "datagrams", "node", "ip.outgoing"),
    ("system_stats.io.incoming.blocks", "blocks", "node", "io.incoming"),
    ("system_stats.io.outgoing.blocks", "blocks", "node", "io.outgoing"),
]

HOST_POLLSTERS: list[Pollster] = [
    *(HostPollster(Meter(f"hardware.{name}", "gauge", unit), kind, key) for name, unit, kind, key in _GAUGES),
    *(HostPollster(Meter(f"hardware.{name}", "cumulative", unit), kind, key) for name, unit, kind, key in _COUNTERS),
]
