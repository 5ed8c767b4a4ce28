"""``manage.py`` when things are not as they should be: one line, never a traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


def run(*command: str, home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("CELOMETER_", "DJANGO_"))},
        "CELOMETER_HOME": str(home),
        **variables,
    }
    return subprocess.run([sys.executable, *command], cwd=REPOSITORY, env=environment, capture_output=True, text=True)


def test_without_a_store_the_way_to_one_is_named(tmp_path):
    done = run("manage.py", "token", "bob", home=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("celometer: the store does not answer: ")
    assert f"Nothing of Celometer runs on {tmp_path}: `make up` starts it there" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_store_that_does_not_answer_is_named_without_its_password(tmp_path):
    url = "postgresql://me:hunter2@127.0.0.1:1/metering"
    done = run("manage.py", "token", "bob", home=tmp_path, CELOMETER_DATABASE_URL=url)
    assert "127.0.0.1" in done.stderr and "Connection refused" in done.stderr
    assert "Traceback" not in done.stderr and "hunter2" not in done.stderr


@pytest.mark.parametrize("command", ["run", "up"])
def test_a_broken_polling_file_ends_the_launcher_before_anything_starts(tmp_path, command):
    (tmp_path / "polling.yaml").write_text("sources: [{name: a, intervall: 1}]")
    home = tmp_path / "home"
    done = run("-m", "config.launch", command, home=home, CELOMETER_CONFIG_DIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith(f"celometer: {tmp_path}/polling.yaml:1: source 1: unknown key 'intervall'")
    assert not (home / "postgres").exists()


def test_a_bad_interval_ends_the_launcher_before_anything_starts(tmp_path):
    done = run("-m", "config.launch", "run", home=tmp_path, CELOMETER_POLL_INTERVAL="abc")
    assert done.stderr == "celometer: CELOMETER_POLL_INTERVAL='abc': expected a whole number of at least 1\n"
