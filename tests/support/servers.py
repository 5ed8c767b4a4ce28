"""Real servers for the tests: PostgreSQL and the broker from the wheels, started once for a whole test run.

`ensure_servers()` may be called before pytest's own fixtures exist (Django's settings want a database early);
the processes of a parallel run share one pair through the environment. Whoever started them stops them at exit,
and what a killed test run left behind is removed by the next one.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from config.launch.account import find_account
from config.launch.broker import EmbeddedBroker
from config.launch.identity import describe_process, is_same_process
from config.launch.postgres import EmbeddedPostgres

DIRECTORY_PREFIX = "celometer-tests-"
DATABASE_VARIABLE = "CELOMETER_TESTS_DATABASE_URL"
BROKER_VARIABLE = "CELOMETER_TESTS_BROKER_URL"


@dataclass(frozen=True)
class Servers:
    """Where the servers of this test run answer."""

    database_url: str
    broker_url: str


def ensure_servers() -> Servers:
    """The servers of this test run; started when this is its first process to ask."""
    if DATABASE_VARIABLE not in os.environ:
        directory = make_server_directory()
        postgres = EmbeddedPostgres(directory / "postgres", durable=False)
        broker = EmbeddedBroker(directory / "broker")
        atexit.register(_remove, os.getpid(), directory, postgres, broker)
        os.environ[DATABASE_VARIABLE] = postgres.start()
        os.environ[BROKER_VARIABLE] = broker.start()
    return Servers(database_url=os.environ[DATABASE_VARIABLE], broker_url=os.environ[BROKER_VARIABLE])


def make_server_directory() -> Path:
    """A new directory that embedded servers can keep their data in, also when root runs the tests.

    (pytest's own temporary directories are closed to the unprivileged account that root's servers run as.)
    """
    sweep_leftovers()
    directory = Path(tempfile.mkdtemp(prefix=DIRECTORY_PREFIX))
    if not find_account().is_caller:
        directory.chmod(0o711)
    (directory / "owner").write_text(describe_process(os.getpid()))
    return directory


def sweep_leftovers() -> None:
    """Stop and remove the servers of test runs that were killed."""
    for directory in Path(tempfile.gettempdir()).glob(f"{DIRECTORY_PREFIX}*"):
        owner = directory / "owner"
        is_ours = directory.stat().st_uid == os.geteuid() and owner.exists()
        if is_ours and not is_same_process(owner.read_text()):
            _stop_all(directory)


@contextmanager
def broker_in(directory: Path) -> Iterator[EmbeddedBroker]:
    """A broker of the test's own, to stop, kill and lose; `start()` it first."""
    broker = EmbeddedBroker(directory / "broker")
    try:
        yield broker
    finally:
        broker.stop()


@contextmanager
def postgres_in(directory: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of the test's own, to stop and kill; it keeps what it committed. `start()` it first."""
    postgres = EmbeddedPostgres(directory / "postgres")
    try:
        yield postgres
    finally:
        postgres.stop()


def _stop_all(directory: Path) -> None:
    EmbeddedPostgres(directory / "postgres").stop()
    EmbeddedBroker(directory / "broker").stop()
    shutil.rmtree(directory, ignore_errors=True)


def _remove(pid: int, directory: Path, postgres: EmbeddedPostgres, broker: EmbeddedBroker) -> None:
    if os.getpid() != pid:  # a forked child ends: the servers are not its own
        return
    postgres.stop()
    broker.stop()
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def servers() -> Servers:
    return ensure_servers()


@pytest.fixture(scope="session")
def database_url(servers: Servers) -> str:
    return servers.database_url


@pytest.fixture(scope="session")
def broker_url(servers: Servers) -> str:
    """Shared by the whole run: a test that flushes or stops its broker wants `own_broker`."""
    return servers.broker_url


@pytest.fixture
def server_directory() -> Iterator[Path]:
    """A directory for servers of the test's own; whatever runs in it afterwards is stopped."""
    directory = make_server_directory()
    yield directory
    _stop_all(directory)


@pytest.fixture
def own_broker(server_directory: Path) -> Iterator[EmbeddedBroker]:
    """A broker that this test may stop, kill and lose. It is not started yet."""
    with broker_in(server_directory) as broker:
        yield broker


@pytest.fixture
def own_postgres(server_directory: Path) -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL that this test may stop and kill. It is not started yet."""
    with postgres_in(server_directory) as postgres:
        yield postgres
