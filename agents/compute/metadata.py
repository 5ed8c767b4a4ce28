"""How an instance, a disk and a vnic are described to whoever reads their samples. Pure.

Each distinct description is stored once, so nothing stands in it that moves from poll to poll; and only what is
listed here leaves the host: no path, no disk secret, no image property of unknown content.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha224
from typing import Any

from agents.contract import Resource

from .domain_xml import Description, Nic
from .nova import NovaRecord

__all__ = ["InstanceResources", "describe_resources"]

SOURCE = "openstack"
_ID_MAX_LENGTH = 255

# libvirt's domain state → what Nova would call the instance's state, and its status.
_STATES = {
    0: ("pending", "building"),
    1: ("running", "active"),
    2: ("running", "active"),
    3: ("paused", "paused"),
    4: ("shutdown", "stopped"),
    5: ("shutdown", "stopped"),
    6: ("crashed", "error"),
    7: ("suspended", "suspended"),
}


@dataclass(frozen=True)
class InstanceResources:
    """The resources of one instance; the same objects as long as nothing about it changes.

    ``all_disks`` is the instance again, with the list of its disks: what totals over devices are measured on.
    """

    instance: Resource
    all_disks: Resource
    disks: dict[str, Resource]
    nics: dict[str, Resource]


def describe_resources(description: Description, *, instance_id: str, node: str, state: int) -> InstanceResources:
    """Describe an instance and its devices as they are now on ``node``."""
    nova = description.nova
    facts = _instance_facts(description, instance_id=instance_id, node=node, state=state)

    def resource(resource_id: str, **more: Any) -> Resource:
        return Resource(
            id=resource_id,
            source=SOURCE,
            project=None if nova is None else nova.project,
            user=None if nova is None else nova.user,
            metadata=facts | more,
        )

    counted = {} if description.vcpus is None else {"cpu_number": description.vcpus}
    return InstanceResources(
        instance=resource(instance_id, **counted),
        all_disks=resource(instance_id, device=list(description.disks), **counted),
        disks={disk: resource(f"{instance_id}-{disk}", disk_name=disk) for disk in description.disks},
        nics={
            nic.tap: resource(_nic_id(nic, description.name, instance_id), **_nic_facts(nic))
            for nic in description.nics
        },
    )


def _instance_facts(description: Description, *, instance_id: str, node: str, state: int) -> dict[str, Any]:
    state_name, status = _STATES.get(state, ("unknown", "unknown"))
    facts = {
        "display_name": description.name,
        "name": description.name,
        "instance_id": instance_id,
        "host": node,
        "instance_host": node,
        "state": state_name,
        "status": status,
        "task_state": "",
        "os_type": description.os_type,
        "architecture": description.architecture,
        "vcpus": description.vcpus,
        "memory_mb": description.memory_mib,
    }
    if description.nova is not None:
        facts |= _nova_facts(description.nova, node)
    return {key: value for key, value in facts.items() if value is not None} | _image_facts(description.nova)


def _nova_facts(nova: NovaRecord, node: str) -> dict[str, Any]:
    # Tenants may see which of their instances share a host, not which host it is: Nova's hostId.
    facts: dict[str, Any] = {"host": sha224(f"{nova.project or ''}{node}".encode()).hexdigest()}
    facts["display_name"] = nova.display_name
    flavor = nova.flavor
    if flavor is not None:
        facts |= {
            "instance_type": flavor.name,
            "flavor": {
                "id": flavor.id,
                "name": flavor.name,
                "vcpus": flavor.vcpus,
                "ram": flavor.ram_mib,
                "disk": flavor.disk_gib,
                "ephemeral": flavor.ephemeral_gib,
                "swap": flavor.swap_mib,
                "extra_specs": flavor.extra_specs,
            },
            "vcpus": flavor.vcpus,
            "memory_mb": flavor.ram_mib,
            "disk_gb": flavor.disk_gib,
            "ephemeral_gb": flavor.ephemeral_gib,
            # Nova's flavor disk is the root disk; the ephemeral one comes on top.
            "root_gb": flavor.disk_gib,
        }
    return {key: value for key, value in facts.items() if value is not None}


def _image_facts(nova: NovaRecord | None) -> dict[str, Any]:
    """Image keys stand for every Nova instance: null means booted from a volume."""
    if nova is None:
        return {}
    image = None if nova.image_id is None else {"id": nova.image_id, "name": nova.image_name}
    facts = {"image": image, "image_ref": nova.image_id, "image_ref_url": None}
    return facts | ({"image_meta": nova.image_meta} if nova.image_meta else {})


def _nic_id(nic: Nic, domain_name: str, instance_id: str) -> str:
    # Nova makes one filter for each port. Any other filter (``clean-traffic``) is shared, and so names no vnic.
    if nic.filter_name is not None and nic.filter_name.startswith("nova-instance-"):
        return nic.filter_name
    resource_id = f"{domain_name}-{instance_id}-{nic.tap}"
    return resource_id if len(resource_id) <= _ID_MAX_LENGTH else f"{instance_id}-{nic.tap}"


def _nic_facts(nic: Nic) -> dict[str, Any]:
    return {
        "name": nic.tap,
        "mac": nic.mac,
        "fref": nic.filter_name,
        "parameters": nic.parameters,
        "vnic_name": nic.filter_name or nic.tap,
    }
