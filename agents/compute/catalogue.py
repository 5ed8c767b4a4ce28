"""What this package offers to the registry: its discoveries and its pollsters."""

from __future__ import annotations

from agents.contract import Discovery, Pollster

from .host import LocalNode
from .host_meters import HOST_POLLSTERS
from .hypervisor import DEFAULT_URI, Hypervisor
from .instance_meters import INSTANCE_POLLSTERS
from .instances import LocalInstances

__all__ = ["POLLSTERS", "discoveries"]

POLLSTERS: list[Pollster] = [*INSTANCE_POLLSTERS, *HOST_POLLSTERS]


def discoveries(uri: str | None = None) -> list[Discovery]:
    """Return fresh discoveries of this node; ``uri`` names the libvirt to read (default ``qemu:///system``).

    Keep them for the life of the process: they hold the connection, the cached domain XML and the last CPU times.
    Nothing is opened before the first ``discover``.
    """
    return [LocalInstances(Hypervisor(uri or DEFAULT_URI)), LocalNode()]
