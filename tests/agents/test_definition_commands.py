"""Commands that look at an operator's files: each mistake with its file and line, whatever command is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.env import REPOSITORY

BROKEN = {
    "meters.yaml": "metric:\n- name: a\n  event_type: '('\n  type: gauge\n  unit: B\n  volume: 1\n  resource_id: $.payload.id\n",
    "pipeline.yaml": "sources:\n- {name: s, meters: ['*'], sinks: [nowhere]}\nsinks:\n- {name: k, publishers: ['gnocchi://']}\n",
}


def manage(*arguments: str, config: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CELOMETER_", "DJANGO_"))}
    own = {"CELOMETER_CONFIG_DIR": str(config)} if config else {}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=REPOSITORY,
        env={**kept, **own, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    for name, text in BROKEN.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize("command", [["validate_definitions"], ["check"]])
def test_every_mistake_of_every_file_is_named_with_its_line(tmp_path: Path, broken: Path, command: list[str]) -> None:
    done = manage(*command, config=broken, CELOMETER_HOME=str(tmp_path / "home"), CELOMETER_SETTINGS="agent")
    assert done.returncode == 1
    for place in ("meters.yaml:3", "pipeline.yaml:2", "pipeline.yaml:4"):
        assert f"{broken}/{place}" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_directory_is_tried_before_it_is_used(tmp_path: Path, broken: Path) -> None:
    assert manage("validate_definitions", str(broken), CELOMETER_HOME=str(tmp_path / "home")).returncode == 1
    good = manage("validate_definitions", CELOMETER_HOME=str(tmp_path / "home"))
    assert good.returncode == 0
    assert good.stdout.startswith("good: ")
    assert "no directory" in manage("validate_definitions", str(tmp_path / "none")).stderr


def test_transformers_that_keep_state_ask_for_a_place_to_keep_it(tmp_path: Path) -> None:
    (tmp_path / "pipeline.yaml").write_text(
        "sources: [{name: s, meters: [cpu], sinks: [k]}]\n"
        "sinks: [{name: k, transformers: [{name: delta, parameters: {target: {name: d}}}], publishers: ['collector://']}]\n"
    )
    broker = {"CELOMETER_BROKER_URL": "amqp://mq/", "CELOMETER_HOME": str(tmp_path / "home")}
    assert "CELOMETER_STATE_URL" in manage("validate_definitions", config=tmp_path, **broker).stderr
    stated = manage("validate_definitions", config=tmp_path, CELOMETER_STATE_URL="redis://r/", **broker)
    assert stated.returncode == 0


def test_mistakes_in_definitions_keep_no_other_command_from_working(tmp_path: Path, broken: Path) -> None:
    done = manage("poll", "--print", config=broken, CELOMETER_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["send_sample", "-n", "a", "-r", "r", "-l", "many"], "volume 'many'"),
        (["send_sample", "-n", "a", "-r", "r", "-m", "[1]"], "expected a JSON object"),
        (["send_sample", "-n", "a", "-r", "r", "-m", "{"], "expected a JSON object"),
        (["send_sample", "-n", "a", "-r", "r", "-i", "yesterday"], "'yesterday'"),
        (["send_sample", "-n", "", "-r", "r"], "this cannot be sent"),
        (["send_sample", "-n", "a", "-r", "r" * 300], "this cannot be sent"),
        (["send_notification", "/nowhere.json"], "/nowhere.json"),
        (["listen"], "CELOMETER_NOTIFICATION_URLS is empty"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(tmp_path: Path, arguments: list[str], told: str) -> None:
    done = manage(*arguments, CELOMETER_HOME=str(tmp_path / "home"))
    assert done.returncode == 1
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_bus_is_named_without_its_password(tmp_path: Path) -> None:
    done = manage("listen", CELOMETER_HOME=str(tmp_path / "h"), CELOMETER_NOTIFICATION_URLS="kafka://u:secret@h/")
    assert done.returncode == 1
    assert "kafka://h/" in done.stderr
    assert "secret" not in done.stderr


@pytest.mark.parametrize("text", ["", "[]", "[1]", "no JSON", '{"event_type": 3}', '{"payload": {}}'])
def test_a_file_that_holds_no_notification_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "n.json"
    file.write_text(text)
    done = manage("send_notification", str(file), "--print", CELOMETER_HOME=str(tmp_path / "home"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_what_a_definition_does_not_find_is_told(tmp_path: Path) -> None:
    file = tmp_path / "n.json"
    file.write_text(json.dumps({"event_type": "volume.create.end", "payload": {"volume_id": "v"}}))
    done = manage("send_notification", str(file), "--print", CELOMETER_HOME=str(tmp_path / "home"))
    assert done.returncode == 0
    assert "volume.size" in done.stdout
    assert "sample" not in done.stdout.replace("no sample", "")


def test_a_notification_that_may_have_been_metered_before_is_told(tmp_path: Path) -> None:
    known = {"event_type": "volume.create.end", "message_id": "m-1", "payload": {"volume_id": "v", "size": 7}}
    new = {"event_type": "volume.create.end", "payload": {"volume_id": "w", "size": 7}}
    request = {
        "event_type": "compute.instance.create.end",
        "_context_request_id": "req-1",
        "payload": {"instance_id": "i"},
    }
    file = tmp_path / "n.json"
    file.write_text(json.dumps([known, new, request]))
    done = manage("send_notification", str(file), CELOMETER_HOME=str(tmp_path / "h"), CELOMETER_BROKER_URL="memory://")
    assert done.returncode == 0, done.stderr
    told = [line.partition(":")[0] for line in done.stdout.splitlines() if "nothing is added" in line]
    assert told == ["message_id m-1", "request_id req-1 of Nova's action"]


SSD = "metric:\n- name: volume.size\n  event_type: x\n  type: gauge\n  unit: GB\n  volume: 1\n  resource_id: $.payload.id\n"


def test_files_that_nothing_reads_are_told(tmp_path: Path) -> None:
    (tmp_path / "meters.d").mkdir()
    for name in ("event_definitions.yaml", "mine.yml", "meters.d/a.yml", "retention.yaml"):
        (tmp_path / name).write_text("")
    done = manage("validate_definitions", config=tmp_path, CELOMETER_HOME=str(tmp_path / "home"))
    assert done.returncode == 0, done.stderr
    assert f"warning: {tmp_path}/event_definitions.yaml: is not read; Celometer's is events.yaml" in done.stdout
    told = [line for line in done.stdout.splitlines() if "is not read" in line]
    assert [line.partition(": ")[2].partition(": ")[0] for line in told] == [
        f"{tmp_path}/event_definitions.yaml",
        f"{tmp_path}/meters.d/a.yml",
        f"{tmp_path}/mine.yml",
    ]
    checked = manage("check", config=tmp_path, CELOMETER_HOME=str(tmp_path / "home"), CELOMETER_SETTINGS="agent")
    assert "event_definitions.yaml: is not read" in checked.stderr


def test_it_is_said_which_files_are_used_and_what_they_replace(tmp_path: Path) -> None:
    (tmp_path / "meters.d").mkdir()
    (tmp_path / "meters.d" / "ssd.yaml").write_text(SSD)
    done = manage("validate_definitions", config=tmp_path, CELOMETER_HOME=str(tmp_path / "home"))
    note, good = done.stdout.splitlines()
    assert note == f"note: {tmp_path}/meters.d/ssd.yaml:2: meter 'volume.size' replaces the shipped one"
    assert "definitions of meters (1 from meters.d/ssd.yaml, " in good
    assert "of events (shipped)" in good


@pytest.mark.parametrize("command", [["validate_definitions"], ["check"]])
def test_mistakes_and_doubts_of_polling_are_told_with_their_lines(tmp_path: Path, command: list[str]) -> None:
    file = tmp_path / "polling.yaml"
    environment = {"CELOMETER_HOME": str(tmp_path / "home"), "CELOMETER_SETTINGS": "agent"}
    file.write_text("sources:\n- {name: a, interval: 60, meters: [cpux]}\n")
    done = manage(*command, config=tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    assert f"{file}:2: source a: no meter is called 'cpux'" in done.stdout + done.stderr
    file.write_text("sources:\n- {name: a, interval: soon, meters: [cpu]}\n")
    done = manage(*command, config=tmp_path, **environment)
    assert done.returncode == 1
    assert f"{file}:2: source 1: interval 'soon': expected whole seconds" in done.stderr


@pytest.mark.parametrize("command", ["listen", "send_sample", "send_notification"])
def test_helps_end_with_examples_on_lines_of_their_own(tmp_path: Path, command: str) -> None:
    told = manage(command, "--help", CELOMETER_HOME=str(tmp_path), COLUMNS="60").stdout
    examples = told.partition("examples:\n")[2].splitlines()
    assert len(examples) == 2
    assert all(f"python manage.py {command}" in example for example in examples)


def test_help_of_listen_names_every_parameter_of_a_bus(tmp_path: Path) -> None:
    told = manage("listen", "--help", CELOMETER_HOME=str(tmp_path)).stdout
    for parameter in ("exchanges", "topics", "queue", "durable", "ssl", "ssl_ca_file"):
        assert f"?{parameter}=" in " ".join(told.split())


def test_a_reader_that_has_seen_enough_ends_a_command_quietly(tmp_path: Path) -> None:
    file = tmp_path / "n.json"
    one = {"event_type": "volume.create.end", "payload": {"volume_id": "v", "size": 7}}
    file.write_text(json.dumps([one] * 500))
    command = f"{sys.executable} manage.py send_notification {file} --print | head -3"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CELOMETER_", "DJANGO_"))}
    done = subprocess.run(
        command, shell=True, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == ""
