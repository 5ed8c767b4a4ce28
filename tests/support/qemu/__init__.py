"""A real hypervisor for tests: libvirtd and QEMU without KVM, seen by nobody else on the machine."""

from .guest import CannotBuildGuest
from .libvirtd import CannotRunLibvirt, PrivateLibvirt

__all__ = ["CannotBuildGuest", "CannotRunLibvirt", "PrivateLibvirt"]
