"""A libvirtd of our own with its own network, processes and state; other processes reach it by its URI.

It lives in fresh mount, network and process namespaces, so it neither sees nor touches the machine's own libvirt, and
all of it, guests included, dies with the process that started it.
"""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import tempfile
import textwrap
import time
import uuid
from pathlib import Path
from types import TracebackType

import libvirt
import psutil

from .guest import HOST_ADDRESS, build_guest

__all__ = ["CannotRunLibvirt", "PrivateLibvirt"]

TAP = "celotap0"
START_SECONDS = 20
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin:/usr/bin:/bin"
_TOOLS = ("libvirtd", "qemu-system-x86_64", "unshare", "setpriv", "ip")

_ISOLATE = ("unshare", "--mount", "--mount-proc", "--net", "--pid", "--fork", "--kill-child")

_START = """
set -e
mount --make-rprivate /
for folder in /run /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt; do
    mkdir -p $folder
    mount -t tmpfs none $folder
done
mkdir -p /run/libvirt
cp {home}/qemu.conf /etc/libvirt/
# libvirt looks its default user up even where qemu.conf names another.
for file in passwd group; do
    cp /etc/$file {home}/$file
done
echo libvirt-qemu:x:64055:64055::/nonexistent:/bin/false >> {home}/passwd
echo libvirt-qemu:x:64055: >> {home}/group
mount --bind {home}/passwd /etc/passwd
mount --bind {home}/group /etc/group
ip link set lo up
ip tuntap add dev {tap} mode tap
ip address add {address}/24 dev {tap}
ip link set {tap} up
# The shell stays as process 1 and reaps what libvirtd orphans: libvirt waits 40 s for a QEMU that stays a zombie.
while :; do
    libvirtd -f {home}/libvirtd.conf || true
    sleep 0.2
done
"""
_QEMU_CONF = """
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
"""
_LIBVIRTD_CONF = """
unix_sock_dir = "{home}/sockets"
unix_sock_ro_perms = "0777"
auth_unix_ro = "none"
auth_unix_rw = "none"
log_outputs = "2:file:{home}/libvirtd.log"
"""


class CannotRunLibvirt(Exception):
    """This machine cannot run a private libvirtd; the message says what is missing or what it answered."""


class PrivateLibvirt:
    """Use as a context manager. ``uri`` is for the code under test, in this process or another; it can only read."""

    def __init__(self, *, cache: Path) -> None:
        self._cache = cache
        self._home = Path(tempfile.mkdtemp(prefix="celo-libvirt-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.uri = f"qemu:///system?socket={self._home}/sockets/libvirt-sock-ro"
        self._writable_uri = f"qemu:///system?socket={self._home}/sockets/libvirt-sock"

    def __enter__(self) -> PrivateLibvirt:
        try:
            _check_machine()
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def open(self) -> libvirt.virConnect:
        """Return a connection that may change things."""
        return libvirt.open(self._writable_uri)

    def start_guest(self, name: str, *, metadata: str = "") -> str:
        """Start a Linux guest with one disk (vda), one vnic on ``tap`` and a balloon that reports; return its UUID.

        It boots within about 20 s, and then never stops reading, writing and pinging the host.
        """
        guest = build_guest(self._cache)
        disk = self._home / f"{name}.img"
        with disk.open("wb") as file:
            file.truncate(16 * 1024 * 1024)
        devices = f"""
            <disk type='file' device='disk'><driver name='qemu' type='raw'/>
              <source file='{disk}'/><target dev='vda' bus='virtio'/></disk>
            <disk type='file' device='cdrom'><target dev='hda' bus='ide'/><readonly/></disk>
            <interface type='ethernet'><mac address='52:54:00:99:00:02'/>
              <target dev='{TAP}' managed='no'/><model type='virtio'/></interface>
            <serial type='file'><source path='{self._home}/{name}.console'/></serial>
            <memballoon model='virtio'><stats period='1'/></memballoon>"""
        boot = f"""
            <kernel>{guest.kernel}</kernel><initrd>{guest.initramfs}</initrd>
            <cmdline>console=ttyS0 quiet panic=-1</cmdline>"""
        return self._create(name, memory_mib=160, boot=boot, devices=devices, metadata=metadata)

    def start_crowd(self, count: int) -> list[str]:
        """Start domains that never come past their BIOS: next to nothing to run, and real to libvirt."""
        return [
            self._create(f"crowd-{number}", memory_mib=16, boot="", devices="<memballoon model='none'/>", metadata="")
            for number in range(count)
        ]

    def define_stopped(self, name: str) -> str:
        """Define a domain and leave it shut off; return its UUID."""
        domain_id = str(uuid.uuid4())
        xml = _domain_xml(name, domain_id, memory_mib=64, boot="", devices="", metadata="")
        self.open().defineXML(xml)
        return domain_id

    def console(self, name: str) -> str:
        """What the guest has said on its serial line so far."""
        path = self._home / f"{name}.console"
        return path.read_text(errors="replace") if path.exists() else ""

    def suspend_daemon(self) -> None:
        """Make libvirtd answer nothing, as one that hangs."""
        self._daemon().send_signal(signal.SIGSTOP)

    def resume_daemon(self) -> None:
        self._daemon().send_signal(signal.SIGCONT)

    def restart_daemon(self) -> None:
        """Kill libvirtd; the next one answers at the same address and finds the guests still running."""
        killed = self._daemon()
        killed.kill()
        killed.wait(timeout=10)
        self._await_answer()

    def _create(self, name: str, *, memory_mib: int, boot: str, devices: str, metadata: str) -> str:
        domain_id = str(uuid.uuid4())
        xml = _domain_xml(name, domain_id, memory_mib=memory_mib, boot=boot, devices=devices, metadata=metadata)
        self.open().createXML(xml)
        return domain_id

    def _start(self) -> None:
        (self._home / "sockets").mkdir(exist_ok=True)
        (self._home / "qemu.conf").write_text(_QEMU_CONF)
        (self._home / "libvirtd.conf").write_text(_LIBVIRTD_CONF.format(home=self._home))
        script = _START.format(home=self._home, tap=TAP, address=HOST_ADDRESS)
        with (self._home / "start.log").open("wb") as log:
            self._process = subprocess.Popen(
                # Killed with us, and all its namespace with it: a killed test run leaves no guest behind.
                ["setpriv", "--pdeathsig", "KILL", *_ISOLATE, "sh", "-c", script],
                env=os.environ | {"PATH": _PATH},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._await_answer()

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                reasons = _tail(self._home / "start.log"), _tail(self._home / "libvirtd.log")
                raise CannotRunLibvirt(f"libvirtd did not start: {' '.join(reasons)}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        if not (self._home / "sockets" / "libvirt-sock").is_socket():
            return False
        try:
            self.open().getLibVersion()
        except libvirt.libvirtError:
            return False
        return True

    def _daemon(self) -> psutil.Process:
        assert self._process is not None
        below = psutil.Process(self._process.pid).children(recursive=True)
        return next(process for process in below if process.name() == "libvirtd")

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=10)
        shutil.rmtree(self._home, ignore_errors=True)


def _tail(path: Path) -> str:
    return path.read_text(errors="replace").strip()[-500:] if path.exists() else ""


def _check_machine() -> None:
    if platform.machine() != "x86_64":
        raise CannotRunLibvirt(f"the guest is built for x86_64, this machine is {platform.machine()}")
    missing = [tool for tool in _TOOLS if shutil.which(tool, path=_PATH) is None]
    if missing:
        raise CannotRunLibvirt(f"missing: {', '.join(missing)} (see requirements/system-tests.txt)")
    make_tap = (*_ISOLATE, "ip", "tuntap", "add", "dev", TAP, "mode", "tap")
    tried = subprocess.run(make_tap, capture_output=True, text=True, check=False, env={"PATH": _PATH})
    if tried.returncode != 0:
        raise CannotRunLibvirt(f"no namespaces or tap devices for us (root is needed): {tried.stderr.strip()}")


def _domain_xml(name: str, domain_id: str, *, memory_mib: int, boot: str, devices: str, metadata: str) -> str:
    return textwrap.dedent(f"""
        <domain type='qemu'>
          <name>{name}</name><uuid>{domain_id}</uuid>
          <metadata>{metadata}</metadata>
          <memory unit='MiB'>{memory_mib}</memory><vcpu>1</vcpu>
          <os><type arch='x86_64' machine='pc'>hvm</type>{boot}</os>
          <features><acpi/></features>
          <cpu mode='custom' match='exact'><model fallback='allow'>qemu64</model></cpu>
          <devices><emulator>/usr/bin/qemu-system-x86_64</emulator>{devices}</devices>
        </domain>""")
