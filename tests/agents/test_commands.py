"""The agents' commands, run as a person runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def manage(tmp_path):
    def run(*arguments, **variables):
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("CELOMETER_", "DJANGO_"))},
            "CELOMETER_HOME": str(tmp_path),
            "CELOMETER_NODE": "node-7",
            "CELOMETER_LIBVIRT_URI": "test:///default",
            **variables,
        }
        return subprocess.run(
            [sys.executable, "manage.py", *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True
        )

    return run


def test_poll_print_shows_a_table_and_keeps_nothing(manage, tmp_path):
    done = manage("poll", "--print")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["RESOURCE", "METER", "VOLUME", "UNIT", "TYPE"]
    rows = {tuple(line.split()[:2]): line.split()[2:] for line in lines[1:-2]}
    # libvirt's make-believe machine has one domain: two CPUs, 2 GiB in use of its 8.
    assert rows["6695eb01-f6a4-8304-79aa-97f2502e193f", "vcpus"] == ["2", "vcpu", "gauge"]
    assert rows["6695eb01-f6a4-8304-79aa-97f2502e193f", "memory"] == ["2048", "MiB", "gauge"]
    assert ("node-7", "hardware.memory.total") in rows
    assert f"{len(rows)} samples of" in lines[-1]
    assert not (tmp_path / "agent").exists()


def test_poll_without_print_leaves_a_signed_batch_in_the_outbox(manage):
    assert "1 signed batches put into the outbox" in manage("poll").stdout
    shown = manage("outbox").stdout
    assert "1 batches made so far" in shown
    assert "waiting: 1 batches" in shown


def test_poll_goes_on_without_libvirt_and_says_what_is_missing(manage):
    done = manage("poll", "--print", CELOMETER_LIBVIRT_URI="qemu+unix:///system?socket=/nowhere")
    assert done.returncode == 0
    assert "hardware.memory.total" in done.stdout
    assert "local_instances: libvirt at qemu+unix:///system" in done.stderr
    assert "/nowhere" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "complaint"),
    [
        (["poll", "--source", "nope"], {}, "source 'nope': polling.yaml has compute"),
        (["poll"], {"CELOMETER_POLL_INTERVAL": "abc"}, "CELOMETER_POLL_INTERVAL='abc': expected a whole number"),
        (["outbox", "resend"], {"CELOMETER_SETTINGS": "both"}, "CELOMETER_SETTINGS='both': expected agent or server"),
    ],
)
def test_mistakes_are_one_line_that_names_the_value(manage, arguments, variables, complaint):
    done = manage(*arguments, **variables)
    assert done.returncode != 0
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_polling_file_is_named(manage, tmp_path):
    (tmp_path / "polling.yaml").write_text("sources: [{name: a, interval: soon, meters: ['*']}]")
    done = manage("poll", CELOMETER_CONFIG_DIR=str(tmp_path))
    assert "polling.yaml:1: source 1: interval 'soon': expected whole seconds" in done.stderr
    assert "Traceback" not in done.stderr


def test_resend_with_a_broker_away_says_that_the_batches_wait(manage):
    manage("poll")
    done = manage("outbox", "resend", CELOMETER_BROKER_URL="redis://127.0.0.1:1/0")
    assert done.returncode != 0
    assert "1 batches wait" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_query_under_agent_settings_raises(manage):
    look = "from django.db import connection; connection.cursor()"
    done = manage("shell", "-c", look, CELOMETER_SETTINGS="agent")
    assert "settings.DATABASES is improperly configured" in done.stderr
