"""Each side refuses the other's work, in one clear line."""

from __future__ import annotations

import subprocess
import sys

from config.env import REPOSITORY
from tests.support.roles import Stage


def test_a_worker_refuses_queues_that_are_not_its_sides(stage: Stage, broker_url: str, database_url: str) -> None:
    environment = stage.environment(CELOMETER_BROKER_URL=broker_url, CELOMETER_DATABASE_URL=database_url)
    cases = {
        ("agent", "store"): "queue 'store' belongs to the server side",
        ("agent", "collector"): "queue 'collector' belongs to the server side",
        ("server", "compute"): "queue 'compute' belongs to the agent side",
        ("server", "central"): "queue 'central' belongs to the agent side",
        ("server", "collector,store"): "start another worker",
        ("server", "nonsense"): "nonsense",
        ("nobody", "store"): "CELOMETER_SETTINGS='nobody': expected agent or server",
    }
    workers = {
        (side, queues): stage.role(
            f"{side}-{queues}",
            *("celery", "-A", "config", "worker", "-Q", queues, "-n", f"{side}-{queues}@test"),
            environment={**environment, "CELOMETER_SETTINGS": side},
        ).start()
        for side, queues in cases
    }
    ended = {case: worker.await_end() for case, worker in workers.items()}
    assert all(code != 0 for code in ended.values()), ended
    for case, words in cases.items():
        assert words in workers[case].output()


def test_a_role_that_cannot_do_its_work_ends(stage: Stage, broker_url: str, database_url: str) -> None:
    (stage.directory / "polling.yaml").write_text("sources: nonsense")
    environment = stage.environment(
        CELOMETER_BROKER_URL=broker_url,
        CELOMETER_DATABASE_URL=database_url,
        CELOMETER_CONFIG_DIR=str(stage.directory),
    )
    unreadable = "polling.yaml:1: expected a list under the key sources"
    roles = {
        stage.beat(environment=environment): unreadable,
        stage.worker("compute", environment=environment): unreadable,
        stage.role("all", "celery", "-A", "config", "worker", environment=environment): "celometer: queue",
    }
    for role in roles:
        role.start()
    for role, words in roles.items():
        assert role.await_end() != 0
        assert words in role.output()


def test_an_agent_has_no_database(stage: Stage) -> None:
    environment = stage.environment(
        CELOMETER_SETTINGS="agent", CELOMETER_DATABASE_URL="postgresql://u:p@127.0.0.1/celometer"
    )
    program = (
        "import django\nfrom config import env\nenv.select_settings()\ndjango.setup()\n"
        "from django.db import connection\nconnection.cursor().execute('SELECT 1')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "ImproperlyConfigured: settings.DATABASES is improperly configured" in done.stderr
