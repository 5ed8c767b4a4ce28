"""libvirt-python where it is installed, None where not: the host is metered without it."""

from __future__ import annotations

try:
    import libvirt
except ImportError:
    libvirt = None

__all__ = ["libvirt"]
