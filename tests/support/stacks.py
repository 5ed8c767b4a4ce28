"""The stacks that whole-way tests run on: the embedded servers always, the machine's Redis, RabbitMQ and PostgreSQL when they answer.

Processes reach a stack's broker over a wire that the test can cut. The store is the test process's own Django connection, so that what
the processes stored is looked at through the ORM; take the fixture `stack`, and the store is empty and the queues are clean.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import quote, urlsplit

import kombu
import psutil
import psycopg2
import pytest
from amqp.exceptions import NotFound
from django.core.management import call_command
from django.db import DatabaseError, connection
from django.utils import timezone
from redis import Redis, RedisError

from config.celery import app
from config.databases import parse_database_url
from config.queues import QUEUES, transport_options
from metering.housekeeping.partitions import ensure_ahead
from metering.messages import SealedBatch
from tests.support.proxy import Wire, wire_to
from tests.support.servers import broker_in, make_server_directory

__all__ = [
    "BROKERS",
    "STACKS",
    "TRANSPORTS",
    "Broker",
    "RabbitBroker",
    "Stack",
    "behind_wire",
    "database_at",
    "emptied",
    "rabbit_vhost",
]

REDIS_URL = os.environ.get("CELOMETER_TESTS_REDIS_URL", "redis://127.0.0.1:6379")
RABBITMQ_URL = os.environ.get("CELOMETER_TESTS_RABBITMQ_URL", "amqp://guest:guest@127.0.0.1:5672")
POSTGRES_URL = os.environ.get("CELOMETER_TESTS_POSTGRES_URL", "postgresql://postgres@127.0.0.1:5432/postgres")
BROKERS = ("embedded", "redis", "rabbitmq")
_VHOST_PREFIX = "celometer-tests-"
STACKS = (*BROKERS, "postgresql")
# One broker for each transport, for slow tests in which the versions of Redis are alike:
# @pytest.mark.parametrize("broker", TRANSPORTS, indirect=True)
TRANSPORTS = ("embedded", "rabbitmq")


class Broker(ABC):
    """A broker as tests see it: behind a wire, emptied for each."""

    kind = ""

    def __init__(self, direct_url: str, wire: Wire) -> None:
        self.direct_url = direct_url
        self.wire = wire
        parts = urlsplit(direct_url)
        login = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{login}@127.0.0.1:{wire.port}".lstrip("@")).geturl()

    @abstractmethod
    def lose_everything(self) -> None:
        """What a broker without a disk loses when it restarts."""

    @abstractmethod
    def depth(self, queue: str) -> int:
        """Messages that wait in the queue, not counting those that a worker has."""

    @contextlib.contextmanager
    def connect(self) -> Iterator[kombu.Connection]:
        """A client with a valid login, past the wire."""
        with kombu.Connection(self.direct_url, transport_options=transport_options(self.direct_url)) as client:
            yield client

    def send(self, *batches: SealedBatch | bytes, queue: str = "collector") -> None:
        """Send batches as agents do."""
        with self.connect() as client:
            for batch in batches:
                message = batch if isinstance(batch, bytes) else batch.to_bytes()
                _send(client, "metering.collect", message, queue)

    def send_task(self, name: str, message: bytes, *, queue: str) -> None:
        """Send any task with bytes, as anybody with a login can."""
        with self.connect() as client:
            _send(client, name, message, queue)


def _send(client: kombu.Connection, name: str, message: bytes, queue: str) -> None:
    app.send_task(name, args=(message,), queue=queue, serializer="celometer-batch", retry=False, connection=client)


class RedisBroker(Broker):
    kind = "redis"

    @property
    def client(self) -> Redis:
        return Redis.from_url(self.direct_url)

    def lose_everything(self) -> None:
        self.client.flushdb()

    def depth(self, queue: str) -> int:
        return int(self.client.llen(queue))

    def unacknowledged(self) -> int:
        return int(self.client.zcard("celometer.unacked_index"))


class RabbitBroker(Broker):
    kind = "amqp"

    def lose_everything(self) -> None:
        with self.connect() as client:
            for queue in QUEUES:
                client.channel().queue_delete(queue)
            for exchange in QUEUES:
                client.channel().exchange_delete(exchange)

    def depth(self, queue: str) -> int:
        with self.connect() as client:
            try:
                return int(client.channel().queue_declare(queue, passive=True).message_count)
            except NotFound:
                return 0


AnyBroker = TypeVar("AnyBroker", bound=Broker)


@dataclass
class Stack:
    """Where a test's processes find broker and store."""

    broker: Broker
    database_url: str

    def environment(self, **changes: str) -> dict[str, str]:
        return {
            "CELOMETER_BROKER_URL": self.broker.url,
            "CELOMETER_DATABASE_URL": self.database_url,
            # A message of a killed worker is delivered again soon.
            "CELOMETER_VISIBILITY_SECONDS": "3",
            **changes,
        }


@pytest.fixture(scope="session")
def _embedded() -> Iterator[Broker]:
    directory = make_server_directory()
    with broker_in(directory) as server:
        url = server.start()
        with behind_wire(RedisBroker, url) as broker:
            yield broker
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def _redis() -> Iterator[Broker]:
    for number in random.sample(range(6, 15), 9):
        url = f"{REDIS_URL}/{number}"
        client = Redis.from_url(url, socket_connect_timeout=2)
        try:
            # Others may use this server: a database that is empty and nobody's.
            free = client.dbsize() == 0 and client.set("celometer-tests", str(os.getpid()), nx=True, ex=3600)
        except RedisError as error:
            pytest.skip(f"machine: no Redis answers at {REDIS_URL}: {error}")
        if free:
            with behind_wire(RedisBroker, url) as broker:
                yield broker
            client.flushdb()
            return
    pytest.skip(f"machine: no empty database at {REDIS_URL}")


@pytest.fixture(scope="session")
def _rabbitmq() -> Iterator[Broker]:
    with rabbit_vhost() as url, behind_wire(RabbitBroker, url) as broker:
        yield broker


@contextlib.contextmanager
def rabbit_vhost(purpose: str = "broker") -> Iterator[str]:
    """A virtual host of our own on the machine's RabbitMQ; skips the test where none answers."""
    name = f"{_VHOST_PREFIX}{os.getpid()}-{purpose}"
    try:
        with kombu.Connection(f"{RABBITMQ_URL}//", connect_timeout=3) as client:
            client.connect()
        _sweep_vhosts()
        _rabbitmqctl("add_vhost", name)
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"machine: no RabbitMQ that can be given a virtual host answers: {error}")
    try:
        _rabbitmqctl("set_permissions", "-p", name, urlsplit(RABBITMQ_URL).username or "guest", ".*", ".*", ".*")
        yield f"{RABBITMQ_URL}/{name}"
    finally:
        _rabbitmqctl("delete_vhost", name)


def _sweep_vhosts() -> None:
    """Remove what killed test runs left behind."""
    for name in _rabbitmqctl("list_vhosts").split():
        pid = name.removeprefix(_VHOST_PREFIX).partition("-")[0]
        if name.startswith(_VHOST_PREFIX) and pid.isdigit() and not psutil.pid_exists(int(pid)):
            _rabbitmqctl("delete_vhost", name)


def _rabbitmqctl(*arguments: str) -> str:
    command = ["rabbitmqctl", "-q", *arguments]
    return subprocess.run(command, check=True, capture_output=True, timeout=60, text=True).stdout


@contextlib.contextmanager
def behind_wire(kind: type[AnyBroker], url: str) -> Iterator[AnyBroker]:
    """The broker at this URL, behind a wire."""
    parts = urlsplit(url)
    with wire_to(parts.hostname or "127.0.0.1", parts.port or 0) as wire:
        yield kind(url, wire)


@pytest.fixture(params=BROKERS)
def broker(request: pytest.FixtureRequest) -> Iterator[Broker]:
    """Each broker, empty."""
    with emptied(request.getfixturevalue(f"_{request.param}")) as broker:
        yield broker


@contextlib.contextmanager
def emptied(broker: AnyBroker) -> Iterator[AnyBroker]:
    """The broker, empty before and after, its wire mended."""
    broker.lose_everything()
    yield broker
    broker.wire.thaw()
    broker.wire.cut()
    broker.wire.mend()
    broker.lose_everything()


@pytest.fixture
def stack(broker: Broker, store: None) -> Stack:
    """Each broker with the test run's store."""
    return Stack(broker, current_database_url())


@pytest.fixture(params=STACKS)
def every_stack(request: pytest.FixtureRequest, store: None) -> Iterator[Stack]:
    """Each broker with the test run's store, and the machine's PostgreSQL with the embedded broker."""
    on_machine = request.param == "postgresql"
    with contextlib.ExitStack() as resources:
        if on_machine:
            resources.enter_context(database_at(request.getfixturevalue("_machine_postgres")))
        broker = resources.enter_context(
            emptied(request.getfixturevalue("_embedded" if on_machine else f"_{request.param}"))
        )
        yield Stack(broker, current_database_url())


def current_database_url() -> str:
    """The database that the ORM of this process speaks to."""
    settings = connection.settings_dict
    login = f"{quote(settings['USER'], safe='')}:{quote(settings['PASSWORD'], safe='')}"
    options = "&".join(f"{name}={quote(str(value), safe='')}" for name, value in settings["OPTIONS"].items())
    host, port = settings["HOST"], settings["PORT"]
    if host.startswith("/"):
        options = "&".join(filter(None, [f"host={quote(host, safe='')}&port={port}", options]))
        host = port = ""
    place = f"{host}:{port}" if port else host
    return f"postgresql://{login}@{place}/{settings['NAME']}" + (f"?{options}" if options else "")


@contextlib.contextmanager
def database_at(url: str) -> Iterator[str]:
    """A new, migrated database on this server, for the ORM of this process meanwhile; the server is gone or not at the end."""
    name = f"celometer_tests_{uuid.uuid4().hex[:8]}"
    kept = dict(connection.settings_dict)
    connection.close()
    try:
        connection.settings_dict.update(parse_database_url(url))
        _execute(f"CREATE DATABASE {name}")
        connection.close()
        connection.settings_dict["NAME"] = name
        call_command("migrate", verbosity=0)
        ensure_ahead(timezone.now())
        yield current_database_url()
    finally:
        connection.close()
        connection.settings_dict.update(parse_database_url(url))
        with contextlib.suppress(DatabaseError):
            _execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.close()
        connection.settings_dict.update(kept)


def _execute(sql: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql)


@pytest.fixture(scope="session")
def _machine_postgres() -> str:
    """The URL of the machine's own PostgreSQL, if it answers and lets us make databases."""
    try:
        with contextlib.closing(psycopg2.connect(POSTGRES_URL, connect_timeout=3)) as server, server.cursor() as cursor:
            cursor.execute("SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user")
            allowed = cursor.fetchone()[0]
    except psycopg2.Error as error:
        pytest.skip(f"machine: no PostgreSQL answers at {POSTGRES_URL}: {error}")
    if not allowed:
        pytest.skip(f"machine: the PostgreSQL at {POSTGRES_URL} lets us make no databases")
    return POSTGRES_URL
