"""`run`, `up`, `down`, `status` with all real roles: what starts is stopped, what dies comes back, data stays."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from config.env import REPOSITORY
from config.launch.broker import EmbeddedBroker
from config.launch.home import Home
from config.launch.postgres import EmbeddedPostgres
from config.launch.roles import read_procfile
from tests.support.servers import make_server_directory

pytestmark = pytest.mark.timeout(180)


class Launcher:
    """The launcher's command line, on a home and a port of the test's own."""

    def __init__(self, home: Path) -> None:
        self.home = Home(home)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        own = {name: value for name, value in os.environ.items() if not name.startswith("CELOMETER_")}
        self.env = own | {
            "CELOMETER_HOME": str(home),
            "CELOMETER_PORT": str(self.port),
            "CELOMETER_NODE": "launch-test",
            "CELOMETER_LIBVIRT_URI": "test:///default",
        }

    def call(self, command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "config.launch", command],
            cwd=REPOSITORY,
            env=self.env | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )

    def run_in_background(self, output: Path) -> subprocess.Popen[bytes]:
        with output.open("w") as file:
            return subprocess.Popen(
                [sys.executable, "-m", "config.launch", "run"],
                cwd=REPOSITORY,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,
            )

    def processes(self) -> list[psutil.Process]:
        """All that runs for this home, whoever started it."""
        return [process for process in psutil.process_iter() if self._is_ours(process)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid():
                return False
            home = str(self.home.root)
            return process.environ().get("CELOMETER_HOME") == home or home in " ".join(process.cmdline())
        except psutil.Error:
            return False

    def samples(self) -> int:
        url = json.loads(self.home.servers_file.read_text())["database_url"]
        import psycopg2

        connection = psycopg2.connect(url)
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM metering_sample")
            count: int = cursor.fetchone()[0]
        connection.close()
        return count

    def role(self, name: str) -> Any:
        return next((role for role in self.home.read_record().roles if role.name == name), None)


def wait_until(condition: Callable[[], bool], *, seconds: float = 30) -> None:
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "what the test waits for did not happen"
        time.sleep(0.05)


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    directory = make_server_directory()
    launcher = Launcher(directory / "home")
    yield launcher
    launcher.call("down")
    for process in launcher.processes():
        process.kill()
    shutil.rmtree(directory)


def test_up_meters_and_down_leaves_nothing_but_data(launcher: Launcher) -> None:
    up = launcher.call("up")
    assert up.returncode == 0, up.stdout
    token = launcher.home.token_file.read_text().strip()
    for promised in (f"http://127.0.0.1:{launcher.port}/v2/meters", token, "First samples", "curl -H"):
        assert promised in up.stdout
    assert launcher.samples() > 0
    assert launcher.home.servers_file.stat().st_mode & 0o077 == 0
    assert launcher.home.token_file.stat().st_mode & 0o077 == 0
    assert launcher.call("status").returncode == 0

    again = launcher.call("up")
    assert again.returncode == 1
    assert "already runs" in again.stdout

    assert launcher.call("down").returncode == 0
    assert launcher.processes() == []
    assert launcher.call("status").returncode == 3

    # The second start shows the same token, and has what the first one measured.
    postgres = EmbeddedPostgres(launcher.home.postgres)
    second = launcher.call("up")
    assert second.returncode == 0, second.stdout
    assert token in second.stdout
    assert postgres.is_running()
    assert launcher.samples() > 0


def test_what_a_killed_supervisor_left_is_found_and_replaced(launcher: Launcher) -> None:
    assert launcher.call("up").returncode == 0
    old = {process.pid: process for process in launcher.processes()}
    servers = {EmbeddedPostgres(launcher.home.postgres).pid, EmbeddedBroker(launcher.home.broker).pid}
    psutil.Process(launcher.home.read_record().supervisor_pid).kill()

    second = launcher.call("up")
    assert second.returncode == 0, second.stdout
    roles = [name for name in read_procfile(REPOSITORY / "Procfile") if name != "listener"]
    assert f"stopped what a killed run left: {', '.join(roles)}" in second.stdout
    left = {pid for pid, process in old.items() if process.is_running()}
    assert left <= servers, "roles of the killed run still work beside the new ones"

    psutil.Process(launcher.home.read_record().supervisor_pid).kill()
    assert launcher.call("down").returncode == 0
    assert launcher.processes() == []


def test_status_of_nothing_is_no_error_of_make(launcher: Launcher) -> None:
    command = ["make", "-o", ".ready", "status"]
    done = subprocess.run(command, cwd=REPOSITORY, env=launcher.env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Celometer does not run" in done.stdout


def test_start_and_status_say_which_role_is_down_and_why(launcher: Launcher, tmp_path: Path) -> None:
    (tmp_path / "meters.d").mkdir()
    mistaken = tmp_path / "meters.d" / "ssd.yaml"
    mistaken.write_text("metric:\n  - name: volume.ssd\n    volumes: 1\n")
    bus = "rabbit://reader:secret@127.0.0.1:1/cloud"
    launcher.env |= {"CELOMETER_CONFIG_DIR": str(tmp_path), "CELOMETER_NOTIFICATION_URLS": bus}
    up = launcher.call("up")
    assert up.returncode == 4, up.stdout
    down = f"✗ transform is down: celometer: {mistaken}:2: event_type is missing"
    assert down in up.stdout
    assert "listener is down" not in up.stdout
    assert re.search(rf"logs +{launcher.home.logs}/ROLE.log", up.stdout)
    assert re.search(r"bus +rabbit://127\.0\.0\.1:1/cloud", up.stdout)
    assert "secret" not in up.stdout
    wait_until(lambda: "✗ transform" in launcher.call("status").stdout)
    assert f"celometer: {mistaken}:2: event_type is missing" in launcher.call("status").stdout
    wait_until(lambda: launcher.call("status").returncode == 4)


def test_dead_roles_and_servers_come_back(launcher: Launcher, tmp_path: Path) -> None:
    output = tmp_path / "output"
    supervisor = launcher.run_in_background(output)
    wait_until(lambda: launcher.home.read_record().is_ready, seconds=60)

    os.kill(int(launcher.role("collector").identity.split()[0]), signal.SIGKILL)
    broker = EmbeddedBroker(launcher.home.broker)
    gone = broker.pid
    assert gone is not None
    os.kill(gone, signal.SIGKILL)
    wait_until(lambda: launcher.role("collector").restarts == 1 and bool(launcher.role("collector").identity))
    wait_until(lambda: broker.pid not in (None, gone))

    os.killpg(supervisor.pid, signal.SIGINT)
    assert supervisor.wait(timeout=30) == 0, output.read_text()
    assert launcher.processes() == []
    said = output.read_text()
    assert "collector | was killed (signal 9); again in 1 s" in said
    assert "broker ended; it is started again" in said
    assert "everything is stopped" in said


def _binds(stranger: socket.socket, port: int) -> bool:
    try:
        stranger.bind(("127.0.0.1", port))
    except OSError:
        return False
    return True


def test_broker_that_lost_its_port_is_found_again_by_every_role(launcher: Launcher) -> None:
    assert launcher.call("up").returncode == 0
    before = json.loads(launcher.home.servers_file.read_text())["broker_url"]
    supervisor = psutil.Process(launcher.home.read_record().supervisor_pid)
    broker = psutil.Process(EmbeddedBroker(launcher.home.broker).pid)
    with socket.socket() as stranger:
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The supervisor is held, so that the stranger is the first at the port.
        supervisor.suspend()
        broker.kill()
        wait_until(lambda: EmbeddedBroker(launcher.home.broker).pid is None)
        # The last of a killed process's threads may still hold the port for a moment.
        wait_until(lambda: _binds(stranger, int(before.rpartition(":")[2].partition("/")[0])))
        stranger.listen()
        supervisor.resume()
        wait_until(lambda: {role.restarts for role in launcher.home.read_record().roles} == {1})
    assert json.loads(launcher.home.servers_file.read_text())["broker_url"] != before


def test_database_that_does_not_answer_is_named(launcher: Launcher) -> None:
    refused = launcher.call("run", CELOMETER_DATABASE_URL="postgresql://celometer:secret@127.0.0.1:1/celometer")
    assert refused.returncode == 1
    assert "the store does not do as asked" in refused.stdout
    assert "127.0.0.1" in refused.stdout
    for unwanted in ("secret", "Traceback"):
        assert unwanted not in refused.stdout
    assert launcher.processes() == []


@pytest.mark.parametrize("moment", ["PostgreSQL started", "broker started", "store migrated"])
def test_interrupted_start_leaves_nothing(launcher: Launcher, tmp_path: Path, moment: str) -> None:
    output = tmp_path / "output"
    supervisor = launcher.run_in_background(output)
    wait_until(lambda: moment in output.read_text())
    os.killpg(supervisor.pid, signal.SIGTERM)
    assert supervisor.wait(timeout=30) == 0
    assert launcher.processes() == []


def test_taken_port_is_named_and_nothing_is_started(launcher: Launcher) -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", launcher.port))
        stranger.listen()
        refused = launcher.call("run")
    assert refused.returncode == 1
    assert f"Port {launcher.port} on 127.0.0.1 is taken" in refused.stdout
    assert "CELOMETER_PORT=" in refused.stdout
    assert len(refused.stdout.splitlines()) == 1
    assert launcher.processes() == []


def test_home_that_cannot_be_written_is_named(launcher: Launcher) -> None:
    refused = launcher.call("run", CELOMETER_HOME="/proc/celometer")
    assert refused.returncode == 1
    assert "/proc/celometer" in refused.stdout
    assert "CELOMETER_HOME" in refused.stdout
    assert "Traceback" not in refused.stdout


@pytest.mark.parametrize(("name", "value"), [("CELOMETER_PORT", "http"), ("CELOMETER_PORT", "70000")])
def test_unusable_setting_is_named_with_what_was_expected(launcher: Launcher, name: str, value: str) -> None:
    refused = launcher.call("up", **{name: value})
    assert refused.returncode == 1
    assert f"celometer: {name}=" in refused.stdout
    assert "expected" in refused.stdout
    assert value in refused.stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="machine: only root may mount a small disk")
def test_full_disk_is_named(launcher: Launcher) -> None:
    root = launcher.home.root
    root.mkdir()
    script = 'mount -t tmpfs -o size=6m tmpfs "$CELOMETER_HOME" && exec "$0" -m config.launch run'
    command = ["unshare", "--mount", "sh", "-c", script, sys.executable]
    if subprocess.run(["unshare", "--mount", "true"], check=False).returncode != 0:
        pytest.skip("machine: no private mounts in this container")
    refused = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=launcher.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    assert "No space left on device" in refused.stdout
    assert "Traceback" not in refused.stdout
    assert launcher.processes() == []
