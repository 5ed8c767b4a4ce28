"""``make bench``: measure on servers of its own, print a table, write benchmarks/results/latest.json.

    python -m benchmarks

The servers are those of the wheels, durable as in production, in a temporary directory.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from datetime import timedelta
from pathlib import Path

from config.launch.broker import EmbeddedBroker
from config.launch.postgres import EmbeddedPostgres


def main() -> None:
    directory = Path(tempfile.mkdtemp(prefix="celometer-bench-"))
    directory.chmod(0o711)
    postgres, broker = EmbeddedPostgres(directory / "postgres"), EmbeddedBroker(directory / "broker")
    try:
        os.environ.update(
            CELOMETER_HOME=str(directory / "home"),
            CELOMETER_SETTINGS="server",
            CELOMETER_DATABASE_URL=postgres.start(),
            CELOMETER_BROKER_URL=broker.start(),
        )
        _measure()
    finally:
        broker.stop()
        postgres.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _measure() -> None:
    from config import env

    env.select_settings()
    import django

    django.setup()
    # The app must be this project's before anything is sent.
    from django.core.management import call_command
    from django.utils import timezone

    import config.celery  # noqa: F401
    from benchmarks.figures import Figure, show_figures, write_figures
    from benchmarks.ingest import measure_ingest
    from benchmarks.poll import measure_poll
    from benchmarks.signatures import measure_messages
    from metering.housekeeping.partitions import ensure_ahead
    from tests.support.libvirt_file import write_crowd

    call_command("migrate", verbosity=0)
    ensure_ahead(timezone.now() - timedelta(days=7))
    with tempfile.TemporaryDirectory() as folder:
        cost = measure_poll(write_crowd(Path(folder) / "node.xml", 50))
    figures = [
        Figure("poll of 50 domains, test driver, CPU", cost.warm_cpu_ms / cost.domains, "ms/domain"),
        *measure_messages(),
        *measure_ingest(batches=200, samples_per_batch=1000),
        *measure_ingest(batches=400, samples_per_batch=200),
    ]
    show_figures(figures)
    print(f"written to {write_figures(figures)}")


if __name__ == "__main__":
    main()
