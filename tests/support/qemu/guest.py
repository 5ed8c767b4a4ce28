"""A guest small enough for emulation: Debian's cloud kernel and a busybox that never stops reading, writing and pinging.

The kernel's package is downloaded and unpacked beside the tests' other caches; nothing is installed.
"""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["GUEST_ADDRESS", "HOST_ADDRESS", "CannotBuildGuest", "Guest", "build_guest"]

HOST_ADDRESS = "10.99.0.1"
GUEST_ADDRESS = "10.99.0.2"

_KERNEL_PACKAGE = "linux-image-cloud-amd64"
_BUSYBOX = Path("/bin/busybox")
# In the order in which they need one another; one that is missing is built into the kernel.
_MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    *("failover", "net_failover", "virtio_net", "virtio_blk", "virtio_balloon"),
)
_INIT = f"""#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
for module in {" ".join(_MODULES)}; do
    [ -e /modules/$module.ko ] && insmod /modules/$module.ko
done
ifconfig eth0 {GUEST_ADDRESS} netmask 255.255.255.0 up
echo guest is up
while :; do
    dd if=/dev/zero of=/dev/vda bs=64k count=4 conv=fsync
    echo 3 > /proc/sys/vm/drop_caches
    dd if=/dev/vda of=/dev/null bs=64k count=4
    ping -c 1 -W 1 {HOST_ADDRESS}
    sleep 0.2
done > /dev/null 2>&1
"""


class CannotBuildGuest(Exception):
    """This machine lacks something that the guest is made of; the message says what."""


@dataclass(frozen=True)
class Guest:
    """What QEMU boots."""

    kernel: Path
    initramfs: Path


def build_guest(cache: Path) -> Guest:
    """Return the guest, made at the first call and kept in ``cache``. Raises CannotBuildGuest."""
    if not _BUSYBOX.exists():
        raise CannotBuildGuest(f"{_BUSYBOX} is missing (apt-get install busybox-static)")
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs beside each other share the cache
        unpacked = _fetch_kernel(cache)
        archive = gzip.compress(_write_cpio(_initramfs_entries(unpacked)), compresslevel=1, mtime=0)
        guest = Guest(
            kernel=next(unpacked.glob("boot/vmlinuz-*")),
            initramfs=cache / f"initramfs-{hashlib.sha256(archive).hexdigest()[:12]}.gz",
        )
        if not guest.initramfs.exists():
            partial = cache / "initramfs.partial"
            partial.write_bytes(archive)
            partial.rename(guest.initramfs)
    return guest


def _fetch_kernel(cache: Path) -> Path:
    unpacked = cache / "kernel"
    if not unpacked.exists():
        package = _kernel_package()
        _run("apt-get", "download", package, cwd=cache)
        archive = next(cache.glob(f"{package}_*.deb"))
        partial = cache / "kernel.partial"
        shutil.rmtree(partial, ignore_errors=True)
        _run("dpkg-deb", "-x", str(archive), str(partial))
        archive.unlink()
        partial.rename(unpacked)
    return unpacked


def _kernel_package() -> str:
    """The versioned package behind Debian's cloud kernel, ``linux-image-6.1.0-44-cloud-amd64`` or so."""
    if shutil.which("apt-cache") is None:
        raise CannotBuildGuest("no apt-cache here: the guest's kernel comes from Debian's archive")
    for line in _run("apt-cache", "depends", _KERNEL_PACKAGE).splitlines():
        kind, _, name = line.strip().partition(": ")
        if kind == "Depends":
            return name
    raise CannotBuildGuest(f"apt-cache knows no {_KERNEL_PACKAGE}: run apt-get update, on Debian or Ubuntu for x86-64")


def _run(*command: str, cwd: Path | None = None) -> str:
    finished = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    if finished.returncode != 0:
        raise CannotBuildGuest(f"{' '.join(command)}: {finished.stderr.strip()[-300:]}")
    return finished.stdout


Entry = tuple[str, int, bytes, tuple[int, int]]


def _initramfs_entries(unpacked: Path) -> Iterator[Entry]:
    """Name, mode, content and device number of all that the guest holds."""
    for folder in ("bin", "dev", "proc", "sys", "modules"):
        yield folder, stat.S_IFDIR | 0o755, b"", (0, 0)
    yield "dev/console", stat.S_IFCHR | 0o600, b"", (5, 1)
    yield "init", stat.S_IFREG | 0o755, _INIT.encode(), (0, 0)
    yield "bin/busybox", stat.S_IFREG | 0o755, _BUSYBOX.read_bytes(), (0, 0)
    for name in _MODULES:
        for module in unpacked.glob(f"lib/modules/*/kernel/**/{name}.ko"):
            yield f"modules/{name}.ko", stat.S_IFREG | 0o644, module.read_bytes(), (0, 0)


def _write_cpio(entries: Iterator[Entry]) -> bytes:
    """The archive format that the kernel unpacks ("newc"): ASCII headers, everything on four-byte borders."""
    archive = bytearray()
    for number, (name, mode, content, (major, minor)) in enumerate([*entries, ("TRAILER!!!", 0, b"", (0, 0))], start=1):
        path = name.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(path), 0)
        archive += b"070701" + b"".join(b"%08X" % value for value in fields) + path
        archive += b"\0" * (-len(archive) % 4) + content
        archive += b"\0" * (-len(archive) % 4)
    return bytes(archive)
