"""Reads this node itself, by psutil and /proc: the node, its file systems, disks and network interfaces.

What cannot be read here (no such file on this system, a file system that does not answer) is left out, and reported
where it is a fault.
"""

from __future__ import annotations

import os
import platform
import socket
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import psutil

from agents.contract import Cycle, Resource

__all__ = ["HostPart", "LocalNode"]

SOURCE = "hardware"
_PROC = Path("/proc")
_SYS_NET = Path("/sys/class/net")
# Fewer than this many seconds of CPU time between two looks give shares that are mostly rounding.
_LEAST_CPU_SECONDS = 0.1

PartKind = Literal["node", "filesystem", "disk", "interface"]


@dataclass(frozen=True)
class HostPart:
    """The node or one part of it, as this cycle found it; a value that is absent is not known."""

    kind: PartKind
    resource: Resource
    values: Mapping[str, int | float]


class LocalNode:
    """This node and its parts.

    Keeps the CPU times last seen, so that shares (``hardware.cpu.util``) cover the time since the previous cycle, or since
    the discovery was made.
    """

    name: ClassVar[str] = "local_node"

    def __init__(self) -> None:
        self._cpu_times = psutil.cpu_times()

    def discover(self, cycle: Cycle) -> Sequence[HostPart]:
        """Return the node first, then its parts. A kind of part that fails is reported and left out."""
        parts: list[HostPart] = []
        readers: tuple[Callable[[Cycle], Iterable[HostPart]], ...] = (
            self._read_node,
            _read_filesystems,
            _read_disks,
            _read_interfaces,
        )
        for read in readers:
            try:
                parts.extend(read(cycle))
            except (OSError, RuntimeError) as error:  # RuntimeError: psutil, where the system lacks the interface
                cycle.report(where=f"host {cycle.node}", what=f"{read.__name__.lstrip('_')}: {error}")
        return parts

    def _read_node(self, cycle: Cycle) -> list[HostPart]:
        memory, swap = psutil.virtual_memory(), psutil.swap_memory()
        load_1, load_5, load_15 = os.getloadavg()
        values: dict[str, int | float] = {
            "load.1": round(load_1, 2),
            "load.5": round(load_5, 2),
            "load.15": round(load_15, 2),
            "memory.total": memory.total,
            # What is not free is used, the cache included: what SNMP tells, unlike psutil's own "used".
            "memory.used": memory.total - memory.free,
            "swap.total": swap.total,
            "swap.free": swap.free,
        }
        values |= {f"memory.{name}": getattr(memory, name) for name in ("buffers", "cached") if hasattr(memory, name)}
        values |= self._read_cpu() | _read_ip_datagrams() | _read_paging()
        metadata = {"host": cycle.node, "os_type": platform.system().lower(), "architecture": platform.machine()}
        resource = Resource(id=cycle.node, source=SOURCE, metadata=metadata)
        return [HostPart(kind="node", resource=resource, values=values)]

    def _read_cpu(self) -> dict[str, int | float]:
        before, now = self._cpu_times, psutil.cpu_times()
        ticks_per_second = os.sysconf("SC_CLK_TCK")
        values: dict[str, int | float] = {
            f"cpu.{name}": round(seconds * ticks_per_second) for name, seconds in now._asdict().items()
        }
        spent = {name: getattr(now, name) - getattr(before, name) for name in now._fields}
        # Linux counts guests' time within user and nice as well.
        all_seconds = sum(spent.values()) - spent.get("guest", 0) - spent.get("guest_nice", 0)
        if all_seconds >= _LEAST_CPU_SECONDS:
            self._cpu_times = now
            resting = spent["idle"] + spent.get("iowait", 0)
            values["cpu.busy_share"] = _percent(all_seconds - resting, all_seconds)
            values["cpu.idle_share"] = _percent(spent["idle"], all_seconds)
        return values


def _percent(part: float, whole: float) -> float:
    return round(min(max(100 * part / whole, 0), 100), 2)


def _part(cycle: Cycle, kind: PartKind, part: str, values: Mapping[str, int | float], **metadata: object) -> HostPart:
    resource = Resource(id=f"{cycle.node}.{part}", source=SOURCE, metadata={"host": cycle.node, **metadata})
    return HostPart(kind=kind, resource=resource, values=values)


def _read_filesystems(cycle: Cycle) -> list[HostPart]:
    """File systems on devices, each once: a device mounted in several places is told by its shortest path."""
    mounts: dict[str, str] = {}
    for partition in sorted(
        psutil.disk_partitions(all=False), key=lambda entry: (len(entry.mountpoint), entry.mountpoint)
    ):
        mounts.setdefault(partition.device, partition.mountpoint)
    parts = []
    for device, path in mounts.items():
        try:
            usage = psutil.disk_usage(path)
        except OSError as error:
            cycle.report(where=f"host {cycle.node}", what=f"file system {device} on {path}: {error.strerror}")
            continue
        values = {"size.total": usage.total, "size.used": usage.used}
        parts.append(_part(cycle, "filesystem", device, values, path=path, device=device))
    return parts


def _read_disks(cycle: Cycle) -> list[HostPart]:
    """Disks and their partitions; those that are files or memory in disguise (loop, ram) count elsewhere."""
    counters = psutil.disk_io_counters(perdisk=True) or {}
    return [
        _part(
            cycle,
            "disk",
            device,
            {
                "read.bytes": counted.read_bytes,
                "read.requests": counted.read_count,
                "write.bytes": counted.write_bytes,
                "write.requests": counted.write_count,
            },
            device=device,
        )
        for device, counted in sorted(counters.items())
        if not device.startswith(("loop", "ram", "zram"))
    ]


def _read_interfaces(cycle: Cycle) -> list[HostPart]:
    """Network interfaces, save guests' taps, whose traffic is metered as the instances', and links never put to use."""
    addresses, links = psutil.net_if_addrs(), psutil.net_if_stats()
    parts = []
    for name, counted in sorted(psutil.net_io_counters(pernic=True).items()):
        is_idle = name in links and not links[name].isup and counted.bytes_recv == counted.bytes_sent == 0
        if is_idle or (_SYS_NET / name / "tun_flags").exists():
            continue
        values = {
            "incoming.bytes": counted.bytes_recv,
            "outgoing.bytes": counted.bytes_sent,
            "outgoing.errors": counted.errout,
        }
        facts: dict[str, object] = {"name": name}
        for address in addresses.get(name, ()):
            if address.family == psutil.AF_LINK:
                facts.setdefault("mac", address.address.replace(":", "").lower())
            elif address.family == socket.AF_INET:
                facts.setdefault("ip", address.address)
        if name in links and links[name].speed:
            facts["speed"] = links[name].speed * 1_000_000 // 8  # Mbit/s → B/s
        parts.append(_part(cycle, "interface", name, values, **facts))
    return parts


def _read_ip_datagrams() -> dict[str, int]:
    """The two ``Ip:`` lines of /proc/net/snmp: names, then values. Nothing on systems without it."""
    path = _PROC / "net" / "snmp"
    if not path.exists():
        return {}
    rows = [line.split()[1:] for line in path.read_text().splitlines() if line.startswith("Ip:")]
    counted = dict(zip(*rows, strict=False)) if len(rows) == 2 else {}
    keys = {"InReceives": "ip.incoming", "OutRequests": "ip.outgoing"}
    return {key: int(counted[name]) for name, key in keys.items() if name in counted}


def _read_paging() -> dict[str, int]:
    """Blocks moved between memory and disks since boot, from /proc/vmstat. Nothing on systems without it."""
    path = _PROC / "vmstat"
    if not path.exists():
        return {}
    counted = dict(line.split() for line in path.read_text().splitlines())
    keys = {"pgpgin": "io.incoming", "pgpgout": "io.outgoing"}
    return {key: int(counted[name]) for name, key in keys.items() if name in counted}
