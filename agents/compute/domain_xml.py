"""What a domain's XML says that its statistics do not: names, devices, owner. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from .nova import NovaRecord, find_nova_record

__all__ = ["Description", "Nic", "parse_domain"]

# What a network filter may be told about its port; other parameters are the operator's own and stay on the host.
_FILTER_PARAMETERS = frozenset(
    ["dhcpserver", "ip", "ipv6", "mac", "projmask", "projmask6", "projnet", "projnet6", "raserver"]
)  # compared in lower case


@dataclass(frozen=True)
class Nic:
    """One vnic: the host's tap device, and what names the port behind it."""

    tap: str
    mac: str
    filter_name: str | None = None
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """A domain as its XML describes it. ``disks`` are the target names (``vda``) that have a source."""

    name: str
    os_type: str | None
    architecture: str | None
    vcpus: int | None
    memory_mib: int | None
    balloon_period_seconds: int
    disks: tuple[str, ...]
    nics: tuple[Nic, ...]
    nova: NovaRecord | None


def parse_domain(xml: str) -> Description:
    """Read a domain's XML. Raises ElementTree.ParseError when it is not XML."""
    domain = ElementTree.fromstring(xml)
    os_type = domain.find("os/type")
    stats = domain.find("devices/memballoon/stats")
    vcpu = domain.find("vcpu")
    return Description(
        name=domain.findtext("name", ""),
        os_type=None if os_type is None else os_type.text,
        architecture=None if os_type is None else os_type.get("arch"),
        vcpus=None if vcpu is None else _number(vcpu.get("current") or vcpu.text),
        memory_mib=_memory_mib(domain.find("memory")),
        balloon_period_seconds=0 if stats is None else _number(stats.get("period")) or 0,
        disks=tuple(_disk_names(domain)),
        nics=tuple(_nics(domain)),
        nova=find_nova_record(domain),
    )


def _disk_names(domain: Element) -> list[str]:
    """Targets of the disks that have something behind them: an empty CD-ROM drive is no disk."""
    names = []
    for disk in domain.iterfind("devices/disk"):
        target = disk.find("target")
        if target is not None and disk.find("source") is not None and target.get("dev"):
            names.append(target.get("dev", ""))
    return names


def _nics(domain: Element) -> list[Nic]:
    nics = []
    for interface in domain.iterfind("devices/interface"):
        target, mac = interface.find("target"), interface.find("mac")
        if target is None or mac is None or not target.get("dev"):
            continue
        reference = interface.find("filterref")
        nics.append(
            Nic(
                tap=target.get("dev", ""),
                mac=mac.get("address", ""),
                filter_name=None if reference is None else reference.get("filter"),
                parameters=_port_parameters(interface),
            )
        )
    return nics


def _port_parameters(interface: Element) -> dict[str, str]:
    found: dict[str, str | None] = {
        parameter.get("name", "").lower(): parameter.get("value")
        for parameter in interface.iterfind("filterref/parameter")
        if parameter.get("name", "").lower() in _FILTER_PARAMETERS
    }
    port, source = interface.find("virtualport/parameters"), interface.find("source")
    if port is not None:
        found["interfaceid"] = port.get("interfaceid")
    if source is not None:
        found["bridge"] = source.get("bridge")
    return {name: value for name, value in found.items() if value}


def _memory_mib(memory: Element | None) -> int | None:
    """libvirt writes KiB whatever unit the domain was defined in."""
    amount = None if memory is None else _number(memory.text)
    return None if amount is None else amount // 1024


def _number(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if text.isascii() and text.isdigit() else None
