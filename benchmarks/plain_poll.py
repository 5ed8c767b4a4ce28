"""A poll as Ceilometer's compute agent does it, for a baseline: domain by domain and device by device, nothing kept between polls.

For each domain and group of meters it is looked up, its state is asked for, its XML is read where devices are needed, and then each
device is asked for its counters. Within one poll the answers of a group serve all meters of it, as they do there.
"""

from __future__ import annotations

from collections import Counter
from xml.etree import ElementTree

import libvirt

__all__ = ["PlainPoll"]

_STOPPED = frozenset({libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED})
_DISK_COUNTERS = ("read.requests", "read.bytes", "write.requests", "write.bytes")
_NIC_COUNTERS = ("bytes", "packets", "packets.error", "packets.drop")


class PlainPoll:
    """Polls the node at ``uri``; each call is one poll and returns how many values it has of each counter."""

    def __init__(self, uri: str) -> None:
        self._connection = libvirt.openReadOnly(uri)

    def __call__(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for instance in self._discover():
            for read in (self._read_times, self._read_memory, self._read_disks, self._read_disk_sizes, self._read_nics):
                found.update(name for name, value in read(instance) if value is not None and value >= 0)
        return found

    def _discover(self) -> list[str]:
        """Every poll reads what each instance is from its XML."""
        domains = self._connection.listAllDomains()
        return [ElementTree.fromstring(domain.XMLDesc()).findtext("uuid", "") for domain in domains]

    def _find(self, instance: str) -> tuple[libvirt.virDomain, list[int]]:
        domain = self._connection.lookupByUUIDString(instance)
        return domain, domain.info()

    def _read_times(self, instance: str) -> list[tuple[str, int]]:
        _, info = self._find(instance)
        return [] if info[0] in _STOPPED else [("cpu", info[4])]

    def _read_memory(self, instance: str) -> list[tuple[str, int]]:
        domain, info = self._find(instance)
        told = {} if info[0] in _STOPPED else domain.memoryStats()
        return [("memory.resident", told["rss"])] if "rss" in told else []

    def _read_disks(self, instance: str) -> list[tuple[str, int]]:
        domain, info = self._find(instance)
        if info[0] in _STOPPED:
            return []
        counted = [domain.blockStats(disk) for disk in _disks(domain)]
        names = [f"disk.device.{name}" for name in _DISK_COUNTERS]
        return [pair for counters in counted for pair in zip(names, counters, strict=False)]

    def _read_disk_sizes(self, instance: str) -> list[tuple[str, int]]:
        """Asked for and not counted: our polls have the sizes of stopped instances, too."""
        domain, info = self._find(instance)
        if info[0] not in _STOPPED:
            for disk in _disks(domain):
                domain.blockInfo(disk)
        return []

    def _read_nics(self, instance: str) -> list[tuple[str, int]]:
        domain, info = self._find(instance)
        if info[0] in _STOPPED:
            return []
        counted = [domain.interfaceStats(tap) for tap in _taps(domain)]
        names = [f"network.{direction}.{name}" for direction in ("incoming", "outgoing") for name in _NIC_COUNTERS]
        return [pair for counters in counted for pair in zip(names, counters, strict=False)]


def _disks(domain: libvirt.virDomain) -> list[str]:
    disks = ElementTree.fromstring(domain.XMLDesc()).findall("devices/disk")
    return [
        target.get("dev", "")
        for disk in disks
        if disk.find("source") is not None and (target := disk.find("target")) is not None
    ]


def _taps(domain: libvirt.virDomain) -> list[str]:
    interfaces = ElementTree.fromstring(domain.XMLDesc()).findall("devices/interface")
    return [target.get("dev", "") for interface in interfaces if (target := interface.find("target")) is not None]
