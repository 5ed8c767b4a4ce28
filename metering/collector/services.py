"""The service that a meter belongs to, told by its name: what reports group and filter by."""

from __future__ import annotations

__all__ = ["service_of"]

_SERVICES = {
    "alarm": "alarming",
    "backup": "volume",
    "bandwidth": "network",
    "compute": "compute",
    "cpu": "compute",
    "cpu_util": "compute",
    "disk": "compute",
    "dns": "dns",
    "hardware": "host",
    "identity": "identity",
    "image": "image",
    "instance": "compute",
    "ip": "network",
    "loadbalancer": "load-balancer",
    "manila": "share",
    "memory": "compute",
    "network": "network",
    "perf": "compute",
    "port": "network",
    "power": "compute",
    "radosgw": "object-store",
    "router": "network",
    "snapshot": "volume",
    "storage": "object-store",
    "subnet": "network",
    "switch": "network",
    "trove": "database",
    "vcpus": "compute",
    "volume": "volume",
}
# Traffic of an instance's vnics is measured on the hypervisor: compute's, unlike Neutron's own meters.
_BY_PREFIX = {"network.incoming.": "compute", "network.outgoing.": "compute", "network.services.lb": "load-balancer"}


def service_of(meter_name: str) -> str:
    """The service's name; ``other`` for a meter whose first word is not known."""
    for prefix, service in _BY_PREFIX.items():
        if meter_name.startswith(prefix):
            return service
    return _SERVICES.get(meter_name.partition(".")[0], "other")
