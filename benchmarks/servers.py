"""Servers of a run's own: PostgreSQL and the broker of the wheels, durable as in production, in a temporary directory."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.launch.broker import EmbeddedBroker
from config.launch.postgres import EmbeddedPostgres

__all__ = ["own_servers"]


@contextmanager
def own_servers() -> Iterator[None]:
    """Within, the environment names them and Django is set up for the server's side; afterwards nothing is left of them."""
    directory = Path(tempfile.mkdtemp(prefix="celometer-bench-"))
    directory.chmod(0o711)
    postgres, broker = EmbeddedPostgres(directory / "postgres"), EmbeddedBroker(directory / "broker")
    try:
        os.environ.update(
            CELOMETER_HOME=str(directory / "home"),
            CELOMETER_SETTINGS="server",
            CELOMETER_DATABASE_URL=postgres.start(),
            CELOMETER_BROKER_URL=broker.start(),
            CELOMETER_LOG_LEVEL="ERROR",
        )
        _set_up()
        yield
    finally:
        broker.stop()
        postgres.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _set_up() -> None:
    from config import env

    env.select_settings()
    import django

    django.setup()
    # The app must be this project's before anything is sent.
    import config.celery  # noqa: F401
