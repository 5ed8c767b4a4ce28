"""The processes of the Procfile: restarted when they die, ended with all their children, never mistaken."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from honcho.printer import Message

from config.env import REPOSITORY
from config.launch.home import RoleRecord
from config.launch.identity import describe_process, is_same_process, owns_group
from config.launch.roles import Role, read_procfile, stop_groups


class Stage:
    """Runs roles the way the supervisor does: hears their events, restarts them when due."""

    def __init__(self, directory: Path) -> None:
        self.events: queue.Queue[Message] = queue.Queue()
        self.directory = directory
        self.roles: list[Role] = []

    def start(self, command: str) -> Role:
        role = Role("role", command=command, env=os.environ, cwd=self.directory, events=self.events)
        self.roles.append(role)
        role.start()
        return role

    def run_until(self, condition: Callable[[], bool], *, seconds: float = 10) -> None:
        give_up_at = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < give_up_at, "what the test waits for did not happen"
            self.listen(0.02)
            for role in self.roles:
                role.restart_when_due()

    def listen(self, seconds: float) -> None:
        try:
            message = self.events.get(timeout=seconds)
        except queue.Empty:
            return
        [role] = self.roles
        if message.type == "start":
            role.note_start(message.data["pid"])
        elif message.type == "stop":
            role.note_end()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    stage = Stage(tmp_path)
    yield stage
    stop_groups([role.record for role in stage.roles], seconds=0.2, drain=stage.listen)


def test_role_that_dies_is_started_again_after_growing_pauses(stage: Stage) -> None:
    role = stage.start("date +%s.%N >> starts; exit 3")
    stage.run_until(lambda: role.record.restarts == 2, seconds=20)
    stage.run_until(lambda: len((stage.directory / "starts").read_text().split()) == 3)
    first, second, third = map(float, (stage.directory / "starts").read_text().split())
    assert 1.0 <= second - first < third - second


def test_stop_ends_a_role_with_its_children(stage: Stage) -> None:
    role = stage.start("sleep 300 & sleep 300 & echo $! > child; wait")
    stage.run_until(lambda: (stage.directory / "child").exists() and bool(role.record.identity))
    child = int((stage.directory / "child").read_text())

    assert stop_groups([role.record], drain=stage.listen) == ["role"]
    assert not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE


def test_role_that_ignores_the_request_is_killed(stage: Stage) -> None:
    role = stage.start("trap '' TERM; echo > ready; while true; do sleep 0.1; done")
    stage.run_until(lambda: (stage.directory / "ready").exists() and bool(role.record.identity))
    stop_groups([role.record], seconds=0.5, drain=stage.listen)
    stage.run_until(lambda: not is_same_process(role.record.identity))


def test_role_is_the_program_itself_and_no_shell_around_it(stage: Stage) -> None:
    role = stage.start("PAUSE=300 sleep ${PAUSE_SECONDS:-300}")
    stage.run_until(lambda: bool(role.record.identity))
    process = psutil.Process(int(role.record.identity.split()[0]))
    stage.run_until(lambda: process.cmdline() == ["sleep", "300"])
    assert process.environ()["PAUSE"] == "300"


def test_children_whose_leader_is_gone_are_still_found(stage: Stage) -> None:
    role = stage.start("sleep 300 & echo $! > child; wait")
    stage.run_until(lambda: (stage.directory / "child").exists() and bool(role.record.identity))
    identity = role.record.identity
    os.kill(int(identity.split()[0]), signal.SIGKILL)
    stage.run_until(lambda: not is_same_process(identity))

    assert owns_group(identity)
    assert stop_groups([RoleRecord(name="role", identity=identity)], drain=stage.listen) == ["role"]


def test_process_that_was_given_an_old_number_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        pid, start, boot = describe_process(stranger.pid).split()
        for other_life in (f"{pid} {int(start) - 1} {boot}", f"{pid} {start} another-boot"):
            assert stop_groups([RoleRecord(name="role", identity=other_life)], seconds=0.1) == []
        assert stranger.poll() is None
        stranger.kill()


def test_records_of_an_earlier_boot_own_no_group() -> None:
    assert not owns_group("4194000 1 another-boot")
    assert not owns_group("")


def test_procfile_names_every_role_with_its_settings() -> None:
    roles = read_procfile(REPOSITORY / "Procfile")
    assert list(roles) == [
        *("scheduler", "compute", "transform", "listener", "notifier"),
        *("collector", "store", "alarms", "reports", "clock", "api"),
    ]
    assert all(command.startswith("CELOMETER_SETTINGS=") for command in roles.values())
