"""Finds the instances of this node and reads all of them by one bulk call per cycle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar
from xml.etree.ElementTree import ParseError

from agents.contract import Cycle, Resource

from .binding import libvirt
from .cpu_clock import CpuClock
from .domain_xml import Description, parse_domain
from .fallback import completion_for
from .hypervisor import Hypervisor, is_alive, is_gone
from .metadata import InstanceResources, describe_resources

if TYPE_CHECKING:
    from libvirt import virConnect, virDomain

__all__ = ["Device", "Instance", "LocalInstances"]

_STOPPED_STATES = frozenset({5, 6})  # shut off, crashed
_DESCRIPTION_MAX_AGE_SECONDS = 3600
_BALLOON_MAX_AGE_SECONDS = 300


@dataclass(frozen=True)
class Device:
    """One disk or vnic of an instance, and where its values stand in the instance's statistics."""

    resource: Resource
    stats: Mapping[str, Any]
    prefix: str

    def get(self, key: str) -> int | None:
        """Return the value that libvirt calls ``block.<n>.<key>`` or ``net.<n>.<key>``, None when it told none."""
        return self.stats.get(self.prefix + key)


@dataclass(frozen=True)
class Instance:
    """One domain as this cycle found it. ``stats`` has libvirt's own keys; a key that is absent is not known."""

    description: Description
    resources: InstanceResources
    stats: Mapping[str, Any]
    state: int
    cpu_ns: int | None
    balloon_reports: bool
    disks: tuple[Device, ...]
    nics: tuple[Device, ...]

    @property
    def is_stopped(self) -> bool:
        return self.state in _STOPPED_STATES


@dataclass
class _Known:
    """What is kept of a domain between cycles."""

    fingerprint: tuple[Any, ...]
    read_at: int
    description: Description
    resources: InstanceResources
    cpu_clock: CpuClock


class LocalInstances:
    """All domains of one libvirt, running or not.

    Costs one call per cycle, and one more for each domain whose XML may have changed: one that is new, started,
    stopped, renamed, has gained or lost a vCPU, disk or vnic, or was last looked at an hour ago.
    """

    name: ClassVar[str] = "local_instances"

    def __init__(self, hypervisor: Hypervisor) -> None:
        self._hypervisor = hypervisor
        self._known: dict[str, _Known] = {}

    def discover(self, cycle: Cycle) -> Sequence[Instance]:
        """Return every domain that could be read; one that vanishes meanwhile is left out, one that fails is reported.

        Raises DiscoveryFailed when libvirt cannot be asked.
        """
        return self._hypervisor.ask(lambda connection: self._read_all(connection, cycle))

    def _read_all(self, connection: virConnect, cycle: Cycle) -> list[Instance]:
        complete = completion_for(connection)
        instances: list[Instance] = []
        known: dict[str, _Known] = {}
        for domain, stats in connection.getAllDomainStats(_groups(), _flags()):
            instance_id = domain.UUIDString()
            try:
                kept = self._refresh(domain, stats, cycle)
                instances.append(_read_instance(domain, complete(domain, kept.description, stats), kept, cycle))
                known[instance_id] = kept
            except libvirt.libvirtError as error:
                if is_gone(error):
                    continue
                if not is_alive(connection):
                    raise
                cycle.report(where=f"domain {domain.name()} ({instance_id})", what=str(error))
            except ParseError as error:
                cycle.report(where=f"domain {domain.name()} ({instance_id})", what=f"its XML cannot be read: {error}")
        self._known = known
        return instances

    def _refresh(self, domain: virDomain, stats: Mapping[str, Any], cycle: Cycle) -> _Known:
        """Return what is known of the domain, reading its XML only when it may say something new."""
        instance_id = domain.UUIDString()
        kept, fingerprint = self._known.get(instance_id), _fingerprint(domain, stats)
        oldest = cycle.timestamp - _DESCRIPTION_MAX_AGE_SECONDS * 1_000_000
        if kept is not None and kept.fingerprint == fingerprint and kept.read_at > oldest:
            return kept
        description = parse_domain(domain.XMLDesc())
        resources = describe_resources(
            description, instance_id=instance_id, node=cycle.node, state=stats.get("state.state", 0)
        )
        return _Known(
            fingerprint=fingerprint,
            read_at=cycle.timestamp,
            description=description,
            resources=resources,
            cpu_clock=CpuClock() if kept is None else kept.cpu_clock,
        )


def _groups() -> int:
    groups: int = (
        libvirt.VIR_DOMAIN_STATS_STATE
        | libvirt.VIR_DOMAIN_STATS_CPU_TOTAL
        | libvirt.VIR_DOMAIN_STATS_BALLOON
        | libvirt.VIR_DOMAIN_STATS_VCPU
        | libvirt.VIR_DOMAIN_STATS_INTERFACE
        | libvirt.VIR_DOMAIN_STATS_BLOCK
        | libvirt.VIR_DOMAIN_STATS_PERF
    )
    return groups


def _flags() -> int:
    """A domain with a job running (migration, snapshot) tells less now instead of making all others wait."""
    flags: int = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT
    return flags


def _fingerprint(domain: virDomain, stats: Mapping[str, Any]) -> tuple[Any, ...]:
    """What changes whenever the XML may have: all of it comes with the bulk call."""
    return (
        domain.name(),
        domain.ID(),
        stats.get("state.state"),
        stats.get("vcpu.current"),
        tuple(stats.get(f"block.{number}.name") for number in range(stats.get("block.count", 0))),
        tuple(stats.get(f"block.{number}.path") for number in range(stats.get("block.count", 0))),
        tuple(stats.get(f"net.{number}.name") for number in range(stats.get("net.count", 0))),
    )


def _read_instance(domain: virDomain, stats: Mapping[str, Any], kept: _Known, cycle: Cycle) -> Instance:
    return Instance(
        description=kept.description,
        resources=kept.resources,
        stats=stats,
        state=stats.get("state.state", 0),
        cpu_ns=kept.cpu_clock.read(stats, run_id=domain.ID()),
        balloon_reports=_balloon_reports(stats, kept.description, cycle),
        disks=_devices(stats, "block", kept.resources.disks),
        nics=_devices(stats, "net", kept.resources.nics),
    )


def _devices(stats: Mapping[str, Any], group: str, resources: Mapping[str, Resource]) -> tuple[Device, ...]:
    devices = []
    for number in range(stats.get(f"{group}.count", 0)):
        resource = resources.get(stats.get(f"{group}.{number}.name", ""))
        if resource is not None:
            devices.append(Device(resource=resource, stats=stats, prefix=f"{group}.{number}."))
    return tuple(devices)


def _balloon_reports(stats: Mapping[str, Any], description: Description, cycle: Cycle) -> bool:
    """Say whether the guest's balloon driver speaks now: without it, old numbers stay in the reply for ever."""
    updated_at_seconds = stats.get("balloon.last-update")
    if updated_at_seconds is None:
        return True
    max_age_seconds = max(_BALLOON_MAX_AGE_SECONDS, 3 * description.balloon_period_seconds)
    return bool(updated_at_seconds > cycle.timestamp // 1_000_000 - max_age_seconds)
