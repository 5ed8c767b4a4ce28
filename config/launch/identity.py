"""Telling a process from a later one that was given the same number."""

from __future__ import annotations

import os
from pathlib import Path

import psutil


def describe_process(pid: int) -> str:
    """A text that no other process of this machine has or will have; "" when there is no such process.

    On Linux the kernel's own start tick and boot id: times of day shift when the clock is set.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return _describe_by_clock(pid) if not Path("/proc/self/stat").exists() else ""
    # The command's name, in brackets, may itself hold brackets and spaces.
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state in "ZX" else f"{pid} {fields[18]} {boot_id}"


def _describe_by_clock(pid: int) -> str:
    try:
        return f"{pid} {psutil.Process(pid).create_time():.2f} clock"
    except psutil.Error:
        return ""


def is_same_process(description: str) -> bool:
    """Whether the process of `describe_process()` is alive."""
    pid = description.partition(" ")[0]
    return pid.isdigit() and describe_process(int(pid)) == description


def owns_group(description: str) -> bool:
    """Whether the process group led by the described process still is that group.

    The kernel gives a number to no new process while a group of that number has members; so a group whose
    leader is gone is still the old one, unless the machine was booted since, or another process has the number.
    """
    pid, _, rest = description.partition(" ")
    if not pid.isdigit():
        return False
    if is_same_process(description):
        return True
    if describe_process(int(pid)):
        return False
    current = describe_process(os.getpid())
    return bool(current) and rest.partition(" ")[2] == current.rpartition(" ")[2]
