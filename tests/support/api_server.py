"""The API as it is deployed, on a port of this machine with the test run's store: for clients that speak HTTP.

One server for a module: starting it takes longer than most tests. A module's tests share its store, so what they post, they post to
projects of their own.
"""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Iterator

import pytest
from django.core.management import call_command

from tests.conftest import empty_partitioned_tables
from tests.support.roles import Stage, wait_until
from tests.support.stacks import current_database_url

__all__ = ["api_stage", "api_url"]


@pytest.fixture(scope="module")
def api_stage(django_db_setup, django_db_blocker, tmp_path_factory) -> Iterator[Stage]:
    """The server's processes, and a store with real commits, empty before and after the module."""
    stage = Stage(tmp_path_factory.mktemp("api"))
    with django_db_blocker.unblock():
        _empty_store()
        yield stage
        stage.end()
        _empty_store()


@pytest.fixture(scope="module")
def api_url(api_stage: Stage) -> str:
    """The URL of a running API server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = api_stage.role(
        "api",
        *("gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}", "--threads", "4", "--no-control-socket"),
        environment=api_stage.environment(
            CELOMETER_SETTINGS="server",
            CELOMETER_DATABASE_URL=current_database_url(),
            CELOMETER_BROKER_URL=os.environ["CELOMETER_BROKER_URL"],
        ),
    ).start()
    url = f"http://127.0.0.1:{port}"
    wait_until(lambda: _answers(url) or not server.is_alive(), what="the API answers")
    assert server.is_alive(), server.output()
    return url


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


def _empty_store() -> None:
    call_command("flush", verbosity=0, interactive=False)
    empty_partitioned_tables()
