"""Measures one node: every libvirt domain by one bulk call, and the host itself by psutil.

The way of a measurement: ``hypervisor`` (the connection) → ``instances`` (what one bulk call and the cached domain
XML say) → ``instance_meters`` (one row per meter); beside it ``host`` → ``host_meters``. Nothing here knows batches,
brokers or Django, and all of it imports without libvirt-python: then only the host is metered.
"""

from .catalogue import POLLSTERS, discoveries

__all__ = ["POLLSTERS", "discoveries"]
