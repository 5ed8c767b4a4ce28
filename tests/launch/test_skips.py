"""In a CI run a skip is a failure, unless the machine is the reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.env import REPOSITORY

UNEXCUSED = "skipped although this machine could run them"


@pytest.mark.parametrize(
    ("reason", "ci", "is_failure"),
    [
        ("later", "true", True),
        ("machine: no RabbitMQ answers", "true", False),
        ("later", "", False),
    ],
)
def test_skip_fails_a_ci_run_unless_the_machine_is_the_reason(
    tmp_path: Path, reason: str, ci: str, is_failure: bool
) -> None:
    text = f"import pytest\n\ndef test_runs(): pass\n\n@pytest.mark.skip(reason={reason!r})\ndef test_skipped(): pass\n"
    (tmp_path / "test_some.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-c", os.devnull, "--rootdir", str(tmp_path)]
    command += ["-p", "no:django", "-p", "no:cacheprovider", "-p", "tests.support.skips", str(tmp_path)]
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"CI": ci, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode != 0) == is_failure, result.stdout + result.stderr
    assert (UNEXCUSED in result.stdout) == is_failure
    assert "1 passed, 1 skipped" in result.stdout.splitlines()[-1]
