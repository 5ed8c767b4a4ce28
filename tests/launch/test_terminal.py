"""A role's log remembers why the role ended."""

from __future__ import annotations

from pathlib import Path

from config.launch.terminal import RoleLog, Terminal


def test_log_remembers_last_error_but_no_warning(tmp_path: Path) -> None:
    log = RoleLog("compute", directory=tmp_path, terminal=Terminal())
    for line in ("ValueError: first", "celometer: polling.yaml: not YAML", "[WARNING] slow", "goodbye"):
        log.write(line, aloud=False)
    assert log.last_trouble == "celometer: polling.yaml: not YAML"
