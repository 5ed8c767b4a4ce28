"""What the two embedded servers have in common: started as a child, found again by their pid file, stopped."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from config.launch.account import Account
from config.launch.errors import LaunchError

LOG_LIMIT_BYTES = 10 * 1024 * 1024


def find_wheel(package: str) -> Path:
    """The directory that an installed package's files are in, found without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise LaunchError(f"The Python package {package!r} is not installed: run `make install`.")
    return Path(spec.origin).parent


def wheel_version(distribution: str) -> str:
    return importlib.metadata.version(distribution)


def find_server(pid_file: Path, *, argument: Path) -> psutil.Process | None:
    """The living process that the pid file names, if `argument` is on its command line.

    The number alone proves nothing: after a crash or a reboot it may belong to anybody.
    """
    try:
        process = psutil.Process(int(pid_file.read_text().split(maxsplit=1)[0]))
        if process.status() != psutil.STATUS_ZOMBIE and str(argument) in process.cmdline():
            return process
    except (OSError, ValueError, IndexError, psutil.Error):
        return None
    return None


def spawn_server(command: Sequence[str | Path], *, account: Account, log: Path) -> subprocess.Popen[bytes]:
    """Start the server as a child in a session of its own, so that a Ctrl-C does not reach it before its clients."""
    if log.exists() and log.stat().st_size > LOG_LIMIT_BYTES:
        log.replace(log.with_name(log.name + ".1"))
    with log.open("ab") as output:
        return subprocess.Popen(
            command, **account.popen_options(), stdout=output, stderr=output, start_new_session=True
        )


def await_ready(child: subprocess.Popen[bytes], *, ready: Callable[[], bool], seconds: float) -> bool:
    """True when `ready()` held; False when the child ended first or the time was over (it is killed then)."""
    give_up_at = time.monotonic() + seconds
    while child.poll() is None:
        if ready():
            return True
        if time.monotonic() > give_up_at:
            child.kill()
            child.wait()
        time.sleep(0.01)
    return False


def stop_server(
    process: psutil.Process | None,
    *,
    child: subprocess.Popen[bytes] | None,
    steps: Sequence[tuple[signal.Signals, float]],
) -> None:
    """Send the signals in order, each with its seconds to work, until the process is gone."""
    for number, seconds in steps:
        if process is None or not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            break
        try:
            process.send_signal(number)
            _await_end(process, child=child, seconds=seconds)
        except psutil.NoSuchProcess:
            break
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            continue
    if child is not None and child.poll() is None:
        child.wait(timeout=5)


def _await_end(process: psutil.Process, *, child: subprocess.Popen[bytes] | None, seconds: float) -> None:
    """A child of ours must be reaped; a survivor of a killed run is another's to reap, so a zombie counts as gone."""
    if child is not None and child.pid == process.pid:
        child.wait(timeout=seconds)
        return
    give_up_at = time.monotonic() + seconds
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > give_up_at:
            raise psutil.TimeoutExpired(seconds, pid=process.pid)
        time.sleep(0.02)


def read_log_end(log: Path, *, lines: int = 5) -> str:
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
