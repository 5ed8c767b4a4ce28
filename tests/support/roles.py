"""Role processes for real: what a line of the Procfile starts, with an environment of the test's own.

Every process has its log in a file; `stage` shows the ends of all logs when the test fails, and leaves no process behind.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from config.env import REPOSITORY

__all__ = ["Role", "Stage", "stage", "wait_until"]

_SHOWN_LINES = 40


def wait_until(condition: Callable[[], object], *, seconds: float = 30.0, what: str = "", step: float = 0.05) -> None:
    """Return as soon as the condition holds; fail the test when it does not in time."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, f"within {seconds:g} s this did not happen: {what or condition}"
        time.sleep(step)


class Role:
    """One process of Celometer."""

    def __init__(self, name: str, *, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        self._arguments = arguments
        self._environment = dict(environment)
        self._process: subprocess.Popen[bytes] | None = None
        self._starts = 0

    def start(self) -> Role:
        """Start it, or start it again after it ended."""
        self._starts += 1
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self._arguments],
                cwd=REPOSITORY,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.name} was not started"
        return self._process.pid

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def output(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def await_output(self, text: str, *, seconds: float = 30.0) -> None:
        """Wait until its log holds the text; fail early when the process ends before."""
        wait_until(
            lambda: text in self.output() or not self.is_alive(), seconds=seconds, what=f"{self.name} says {text!r}"
        )
        assert text in self.output(), f"{self.name} ended without saying {text!r}"

    def await_ready(self, *, seconds: float = 30.0) -> Role:
        """Wait until a worker, also one that was started again, consumes."""
        wait_until(
            lambda: self.output().count(" ready.") >= self._starts or not self.is_alive(),
            seconds=seconds,
            what=f"{self.name} is ready",
        )
        assert self.is_alive(), f"{self.name} ended before it was ready"
        return self

    def await_end(self, *, seconds: float = 30.0) -> int:
        """Wait until it ended by itself; return its exit code."""
        assert self._process is not None
        return self._process.wait(seconds)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """End it as a crash would."""
        self.end(signal.SIGKILL)

    def end(self, number: signal.Signals = signal.SIGTERM, *, seconds: float = 20.0) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)
            os.killpg(self.pid, signal.SIGCONT)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)
            self._process.wait(10)


class Stage:
    """The processes of one test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.roles: list[Role] = []

    def environment(self, **changes: str) -> dict[str, str]:
        """This process's environment with changes; nothing of the test run's own servers unless given."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("CELOMETER_", "DJANGO_"))}
        kept["CELOMETER_HOME"] = str(self.directory / "home")
        kept["PYTHONUNBUFFERED"] = "1"
        # Each role is one process with one thread that works: more threads of a library would only disturb on busy cores.
        return {**kept, **{name: value for name, value in changes.items() if value}}

    def role(self, name: str, *arguments: str, environment: Mapping[str, str]) -> Role:
        """A process that is not started yet."""
        role = Role(
            name,
            arguments=list(arguments),
            environment=environment,
            log=self.directory / f"{len(self.roles)}-{name}.log",
        )
        self.roles.append(role)
        return role

    def worker(self, queue: str, *, name: str = "", environment: Mapping[str, str]) -> Role:
        """A worker of this queue; agents' and the server's side by the queue's name."""
        side = "agent" if queue in ("compute", "central", "transform", "notifier") else "server"
        name = name or queue
        return self.role(
            name,
            *("celery", "-A", "config", "worker", "-Q", queue, "-n", f"{name}@test", "--loglevel", "INFO"),
            environment={"CELOMETER_SETTINGS": side, **environment},
        )

    def beat(self, *, environment: Mapping[str, str]) -> Role:
        """The agents' scheduler."""
        return self.role(
            "beat",
            *("celery", "-A", "config", "beat", "--loglevel", "INFO", "--schedule", str(self.directory / "schedule")),
            environment={"CELOMETER_SETTINGS": "agent", **environment},
        )

    def manage(self, *arguments: str, environment: Mapping[str, str], seconds: float = 60.0) -> str:
        """Run a command of manage.py to its end; return what it printed. It must succeed."""
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=REPOSITORY,
            env=dict(environment),
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, f"manage.py {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def end(self) -> None:
        for role in self.roles:
            role.end(signal.SIGKILL)

    def report(self) -> Iterator[tuple[str, str]]:
        """The end of each log, by title."""
        for role in self.roles:
            state = "runs" if role.is_alive() else "ended"
            yield f"{role.log.name} ({state})", "\n".join(role.output().splitlines()[-_SHOWN_LINES:])


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A failed test shows what its processes said."""
    outcome = yield
    report = outcome.get_result()
    for stage in getattr(item, "funcargs", {}).values():
        if report.failed and isinstance(stage, Stage):
            report.sections.extend(stage.report())


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stage.end()
