"""What the figures of a run hold for: the machine, the versions, the day."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import psutil
from django.db import connection

from config.env import REPOSITORY

__all__ = ["describe_machine"]


def describe_machine() -> str:
    """One line for people."""
    with connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        (postgres,) = cursor.fetchone()
    memory_gib = psutil.virtual_memory().total / 2**30
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {_read_commit()}; {os.cpu_count()} cores ({_read_processor()}), {memory_gib:.0f} GiB; "
        f"Python {platform.python_version()}, PostgreSQL {postgres.split()[0]}; load {os.getloadavg()[0]:.1f} at the start"
    )


def _read_commit() -> str:
    command = ["git", "-C", str(REPOSITORY), "describe", "--always", "--dirty"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        described = ""
    return f"commit {described}" if described else "no commit"


def _read_processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1] if found else platform.machine()
