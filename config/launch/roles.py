"""The processes of the Procfile: started through honcho, watched, restarted when they die.

honcho's own Manager ends all processes when one of them ends, which is right for a development server and wrong
for a meter: a collector that dies must come back, and the agent must not miss a poll because of it. So we use
honcho's Procfile parser and its Process class, and watch the processes ourselves.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import psutil
from honcho.environ import parse_procfile
from honcho.printer import Message
from honcho.process import Process

from config.launch.errors import LaunchError
from config.launch.home import RoleRecord
from config.launch.identity import describe_process, owns_group

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
# A process that lived this long was well: its next restart is quick again.
STEADY_SECONDS = 60.0
STOP_SECONDS = 10.0
COMPOUND = re.compile(r"[;&|<>()`\n]")


def read_procfile(path: Path) -> Mapping[str, str]:
    """Role name to shell command, in the order of the file."""
    try:
        processes: Mapping[str, str] = parse_procfile(path.read_text()).processes
    except OSError as error:
        raise LaunchError(f"The Procfile cannot be read: {error}") from error
    if not processes:
        raise LaunchError(f"{path} names no process; expected lines such as `api: gunicorn config.wsgi`.")
    return processes


class Role:
    """One line of the Procfile and the process that runs for it now."""

    def __init__(
        self, name: str, *, command: str, env: Mapping[str, str], cwd: Path, events: queue.Queue[Message]
    ) -> None:
        self.record = RoleRecord(name=name)
        self.command = command
        self.is_running = False
        self.restart_at: float | None = None
        self._env = dict(env)
        self._cwd = str(cwd)
        self._events = events
        self._pause_seconds = FIRST_PAUSE_SECONDS
        self._started = 0.0

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def is_waiting(self) -> bool:
        """Whether the process was asked for and has not reported itself yet."""
        return self.is_running and not self.record.identity

    def start(self) -> None:
        """Start the process in a session of its own; its lines and its end arrive as events."""
        self.restart_at = None
        self.is_running = True
        self.record.identity = ""
        self._started = time.monotonic()
        process = Process(without_shell(self.command), name=self.name, env=self._env, cwd=self._cwd)
        threading.Thread(target=self._follow, args=(process,), name=self.name, daemon=True).start()

    def _follow(self, process: Process) -> None:
        try:
            process.run(self._events)
        except OSError as error:  # no memory, no process numbers left: the same as a process that dies at once
            for kind, data in (("line", f"ERROR could not start: {error}\n"), ("stop", {"returncode": -1})):
                self._events.put(Message(type=kind, data=data, time=datetime.now(), name=self.name, colour=None))

    @property
    def lived_seconds(self) -> float:
        return time.monotonic() - self._started if self.is_running else 0.0

    def note_start(self, pid: int) -> None:
        self.record.identity = describe_process(pid) or f"{pid} ended"
        self.record.started_at = time.time()

    def note_end(self, last_words: str = "") -> float:
        """The process is gone: plan its restart, and return the pause until then."""
        self.is_running = False
        self.record.last_words = last_words
        if time.monotonic() - self._started >= STEADY_SECONDS:
            self._pause_seconds = FIRST_PAUSE_SECONDS
        pause = self._pause_seconds
        self.restart_at = time.monotonic() + pause
        self._pause_seconds = min(2 * pause, LONGEST_PAUSE_SECONDS)
        return pause

    def restart_when_due(self) -> bool:
        if self.restart_at is None or time.monotonic() < self.restart_at:
            return False
        self.record.restarts += 1
        self.start()
        return True


def without_shell(command: str) -> str:
    """The command so that the shell becomes the program, where it is a single one.

    Otherwise the process that we watch is a shell: when that dies the program behind it lives on, and the other
    way round its number and its end are not the program's.
    """
    return command if COMPOUND.search(command) else f"exec env {command}"


def stop_groups(
    records: Sequence[RoleRecord],
    *,
    seconds: float = STOP_SECONDS,
    drain: Callable[[float], None] = time.sleep,
) -> list[str]:
    """End the process groups of these roles, those that a killed supervisor left included; the names of the living.

    First by SIGTERM, after `seconds` by SIGKILL. `drain(pause)` is called while waiting. A number that was given to
    another process meanwhile is left alone.
    """
    living = [record for record in records if owns_group(record.identity) and _signal_group(record, signal.SIGTERM)]
    names = [record.name for record in living]
    give_up_at = time.monotonic() + seconds
    while living and time.monotonic() < give_up_at:
        drain(0.05)
        living = [record for record in living if _has_living_member(record)]
    for record in living:
        _signal_group(record, signal.SIGKILL)
    return names


def _group_of(record: RoleRecord) -> int:
    return int(record.identity.partition(" ")[0])


def _signal_group(record: RoleRecord, number: signal.Signals) -> bool:
    """False when there is nobody to hear it."""
    try:
        os.killpg(_group_of(record), number)
    except ProcessLookupError:
        return False
    return True


def _has_living_member(record: RoleRecord) -> bool:
    """Zombies are dead: in a container with a careless init they may stay for ever."""
    for pid in psutil.pids():
        try:
            if os.getpgid(pid) == _group_of(record) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                return True
        except (ProcessLookupError, psutil.Error):
            continue
    return False
