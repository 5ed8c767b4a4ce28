"""A clean store for each part: copied from one that was migrated once, on a server of the run's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from metering.collector import ingestion, posting
from metering.housekeeping.partitions import ensure_ahead

__all__ = ["clean_store", "make_template"]

_TEMPLATE = "celometer_clean"
# Two databases from which no other is copied: somebody may be connected to those that are.
_HALL = "postgres"


def make_template() -> None:
    """Migrate once, with the partitions of the last week and the next two, and keep that to be copied."""
    _run(f"CREATE DATABASE {_TEMPLATE}")
    _enter(_TEMPLATE)
    call_command("migrate", verbosity=0)
    ensure_ahead(timezone.now() - timedelta(days=7))
    _enter(_HALL)


@contextmanager
def clean_store(name: str) -> Iterator[None]:
    """Within, this process's connection and CELOMETER_DATABASE_URL lead to an empty store; afterwards it is gone."""
    database = f"celometer_{name}"
    _run(f"CREATE DATABASE {database} TEMPLATE {_TEMPLATE}")
    _enter(database)
    try:
        yield
    finally:
        # FORCE: a process that the part has killed may not have been missed yet.
        _run(f"DROP DATABASE {database} WITH (FORCE)")


def _run(statement: str) -> None:
    _enter(_HALL)
    with connection.cursor() as cursor:
        cursor.execute(statement)


def _enter(database: str) -> None:
    connection.close()
    # The same dictionary serves connections of other threads that are made from now on.
    connection.settings_dict["NAME"] = database
    parts = urlsplit(os.environ["CELOMETER_DATABASE_URL"])
    os.environ["CELOMETER_DATABASE_URL"] = parts._replace(path=f"/{database}").geturl()
    # What this process remembers is of another store.
    ingestion.dimensions.clear()
    posting.forget_signer()
