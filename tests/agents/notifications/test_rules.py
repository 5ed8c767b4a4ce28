"""Files that are changed while they are read: what is half written never counts, what is not there is told."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest

from agents.definition_files import BadDefinitions
from agents.notifications.rules import Rules, rules_files
from agents.reloading import Reloaded
from tests.support.notifications import DEFAULTS

METERS = (DEFAULTS / "meters.yaml").read_text()


def names(rules: Rules) -> set[str]:
    return {definition.name for definition in rules.meters.definitions}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    directory = tmp_path / "config"
    directory.mkdir()
    (directory / "meters.yaml").write_text(METERS)
    return directory


def test_a_file_that_is_being_written_counts_once_it_is_whole(config: Path) -> None:
    """Its first half is a good file, too: with fewer meters."""
    rules = rules_files(config, DEFAULTS)
    before = names(rules.current())
    path = config / "meters.yaml"
    path.write_text("")

    def write_the_rest() -> None:
        time.sleep(0.05)
        path.write_text(METERS + "\n")

    writer = threading.Thread(target=write_the_rest)
    writer.start()
    assert names(rules.current()) == before
    writer.join()


def test_a_file_that_is_moved_away_and_made_anew_is_not_missed_meanwhile(config: Path) -> None:
    """So some editors save. Without it the shipped file would count."""
    own = "metric:\n- {name: own, event_type: x, type: gauge, unit: x, volume: 1, resource_id: $.payload.id}\n"
    path = config / "meters.yaml"
    path.write_text(own)
    rules = rules_files(config, DEFAULTS)
    path.rename(config / "meters.yaml~")

    def write_anew() -> None:
        time.sleep(0.05)
        path.write_text(own)

    writer = threading.Thread(target=write_anew)
    writer.start()
    assert names(rules.current()) == {"own"}
    writer.join()


def test_a_directory_that_vanishes_changes_nothing_and_is_told(config: Path, caplog: pytest.LogCaptureFixture) -> None:
    (config / "meters.yaml").write_text("metric: []")
    rules = rules_files(config, DEFAULTS)
    config.rename(config.with_name("elsewhere"))
    with caplog.at_level(logging.ERROR):
        assert names(rules.current()) == set()
    assert f"{config}: expected the directory that CELOMETER_CONFIG_DIR names" in caplog.text


def test_a_directory_that_is_not_there_lets_nothing_start(tmp_path: Path) -> None:
    with pytest.raises(BadDefinitions, match="expected the directory that CELOMETER_CONFIG_DIR names"):
        rules_files(tmp_path / "none", DEFAULTS)


def test_what_cannot_be_read_at_all_changes_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "file"
    path.write_text("1")
    reads = iter([lambda: "first", lambda: path.with_name("none").read_text()])
    reloaded = Reloaded(lambda: next(reads)(), lambda: [path])
    path.write_text("22")
    assert reloaded.current() == "first"
    assert "are not used" in caplog.text
