"""A role's log remembers why the role ended, and whether it works."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.launch.supervisor import describe_end
from config.launch.terminal import RoleLog, Terminal


@pytest.fixture
def log(tmp_path: Path) -> RoleLog:
    return RoleLog("compute", directory=tmp_path, terminal=Terminal())


def test_log_remembers_last_error_but_no_warning(log: RoleLog) -> None:
    for line in ("ValueError: first", "celometer: polling.yaml: not YAML", "and a second mistake", "[WARNING] slow"):
        log.write(line, aloud=False)
    assert log.last_words == "celometer: polling.yaml: not YAML"


def test_without_an_error_the_last_line_must_do(log: RoleLog) -> None:
    for line in ("hello", "goodbye", ""):
        log.write(line, aloud=False)
    assert log.last_words == "goodbye"


def test_words_of_an_earlier_process_are_forgotten(log: RoleLog) -> None:
    log.write("ValueError: first", aloud=False)
    log.note_start()
    assert log.last_words == ""


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-22 09:54:13,506 INFO celery.apps.worker: compute@vm ready.",
        "2026-11-22 09:54:13,295 INFO celery.beat: beat: Starting...",
        "[2026-11-22 09:54:12 +0000] [6353] [INFO] Listening at: http://127.0.0.1:8777 (6353)",
        "2026-11-22 09:54:13,295 INFO agents.notifications.listener: rabbit://bus/: listening on notifications.info",
    ],
)
def test_role_is_ready_when_it_says_so(log: RoleLog, line: str) -> None:
    log.write("it gets ready.", aloud=False)
    assert not log.is_ready
    log.write(line, aloud=False)
    assert log.is_ready


def test_old_words_do_not_tell_why_a_role_was_killed() -> None:
    assert describe_end(-9, "ERROR of yesterday") == ("was killed (signal 9)", "")
    assert describe_end(1, "ERROR just now") == ("ended with 1", "ERROR just now")
