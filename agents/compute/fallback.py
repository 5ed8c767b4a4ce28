"""Asks domain by domain for what the bulk call leaves out, on drivers known to leave it out.

libvirt's test driver answers the bulk call with states alone, without an error. QEMU is never read this way: what its
bulk reply lacks is not known at that moment (a busy domain), and one call per domain and group would be slow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .domain_xml import Description

if TYPE_CHECKING:
    from libvirt import virConnect, virDomain

__all__ = ["Completion", "completion_for"]

Completion = Callable[["virDomain", Description, dict[str, Any]], dict[str, Any]]

_STATES_ONLY = frozenset({"TEST"})

# memoryStats() name → bulk key. The time of the last update is left out: the test driver invents one in the past.
_BALLOON_KEYS = {
    "actual": "balloon.current",
    "swap_in": "balloon.swap_in",
    "swap_out": "balloon.swap_out",
    "unused": "balloon.unused",
    "available": "balloon.available",
    "usable": "balloon.usable",
    "rss": "balloon.rss",
}
_BLOCK_KEYS = ("rd.reqs", "rd.bytes", "wr.reqs", "wr.bytes")
_BLOCK_SIZE_KEYS = ("capacity", "allocation", "physical")
_NET_KEYS = (
    *("rx.bytes", "rx.pkts", "rx.errs", "rx.drop"),
    *("tx.bytes", "tx.pkts", "tx.errs", "tx.drop"),
)


def completion_for(connection: virConnect) -> Completion:
    """Return what completes this driver's bulk statistics; for drivers that need none, they are left as they are.

    What it returns raises libvirtError when the domain is gone.
    """
    return _read_one_by_one if connection.getType() in _STATES_ONLY else _leave_as_is


def _leave_as_is(domain: virDomain, description: Description, stats: dict[str, Any]) -> dict[str, Any]:
    return stats


def _read_one_by_one(domain: virDomain, description: Description, stats: dict[str, Any]) -> dict[str, Any]:
    _, _, memory_kib, vcpus, cpu_time_ns = domain.info()
    found = stats | {
        "balloon.current": memory_kib,
        "vcpu.current": vcpus,
        "block.count": len(description.disks),
        "net.count": len(description.nics),
    }
    for number, disk in enumerate(description.disks):
        found[f"block.{number}.name"] = disk
        found |= _named(f"block.{number}.", _BLOCK_SIZE_KEYS, domain.blockInfo(disk))
    for number, nic in enumerate(description.nics):
        found[f"net.{number}.name"] = nic.tap
    return found | _running_values(domain, description, cpu_time_ns) if domain.isActive() else found


def _running_values(domain: virDomain, description: Description, cpu_time_ns: int) -> dict[str, Any]:
    found: dict[str, Any] = {"cpu.time": cpu_time_ns}
    balloon = domain.memoryStats()
    found |= {key: balloon[name] for name, key in _BALLOON_KEYS.items() if name in balloon}
    for number, disk in enumerate(description.disks):
        found |= _named(f"block.{number}.", _BLOCK_KEYS, domain.blockStats(disk))
    for number, nic in enumerate(description.nics):
        found |= _named(f"net.{number}.", _NET_KEYS, domain.interfaceStats(nic.tap))
    return found


def _named(prefix: str, keys: tuple[str, ...], values: tuple[int, ...]) -> dict[str, int]:
    """Bulk keys for a row of counters. libvirt writes -1 where a driver does not count."""
    return {prefix + key: value for key, value in zip(keys, values, strict=False) if value >= 0}
