"""`make run`: from nothing to the first samples, and back to nothing."""

from __future__ import annotations

import importlib.util
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psutil
from honcho.printer import Message

from config import env
from config.launch import summary
from config.launch.broker import EmbeddedBroker
from config.launch.errors import LaunchError
from config.launch.home import Home, LaunchRecord
from config.launch.identity import describe_process
from config.launch.postgres import EmbeddedPostgres
from config.launch.roles import Role, read_procfile, stop_groups
from config.launch.server import read_log_end
from config.launch.terminal import RoleLog, Terminal

READY_SECONDS = 90.0
FIRST_SAMPLES_SECONDS = 30.0
# A role that has not said by then that it works, and has not ended, counts as up.
SETTLED_SECONDS = 15.0
SERVER_CHECK_SECONDS = 1.0
SERVER_RETRY_SECONDS = 5.0
# So long after its start a process has told its number, or never will.
START_WORD_SECONDS = 5.0
DEFAULT_PORT = 8777
HOST = "127.0.0.1"
# The one role that needs more than this machine has: a message bus to listen to.
LISTENER = "listener"

EmbeddedServer = EmbeddedPostgres | EmbeddedBroker


class StopRequested(Exception):
    """Somebody asked us to end: Ctrl-C, `make down`, the machine going down."""


class Supervisor:
    """Starts everything, keeps it running, and leaves nothing behind. One per home: see `Home.lock()`."""

    def __init__(self, home: Home, *, port: int, terminal: Terminal, detached: bool = False) -> None:
        self.home = home
        self.detached = detached
        self.port = port
        self.terminal = terminal
        self.record = LaunchRecord(supervisor=describe_process(os.getpid()), port=port, started_at=time.time())
        self.servers = choose_servers(home)
        self._events: queue.Queue[Message] = queue.Queue()
        self._roles: dict[str, Role] = {}
        self._logs: dict[str, RoleLog] = {}
        self._addresses: dict[str, str] = {}
        self._stop_signal: int | None = None
        self._check_servers_at = 0.0

    def run(self) -> None:
        """Returns after a requested stop. Raises LaunchError when the start fails; then, too, nothing is left."""
        with self._signals_noted(), self.home.lock():
            stop_leftovers(self.home, terminal=self.terminal)
            try:
                check_port(self.port)
                self._save_record()
                self._start()
                self._watch(until=lambda: False)
            except StopRequested:
                pass
            finally:
                self._stop()

    @contextmanager
    def _signals_noted(self) -> Iterator[None]:
        """Signals are noted, and heeded between two steps: an exception inside one could lose track of a child."""

        def note(number: int, _frame: FrameType | None) -> None:
            self._stop_signal = number

        numbers = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            numbers.append(signal.SIGHUP)
        previous = {number: signal.signal(number, note) for number in numbers}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _heed_stop(self) -> None:
        if self._stop_signal is not None:
            raise StopRequested

    # --- start ---------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self.terminal.say(f"Celometer starts on {self.home.root}", style="bold")
        say_what_is_missing(self.terminal)
        self._start_servers()
        self._prepare()
        self._start_roles()
        self._await_readiness()
        samples = self._await_samples()
        self._watch(until=self._are_roles_settled)
        summary.print_summary(
            self.terminal.console,
            home=self.home,
            port=self.port,
            samples=samples,
            started_at=self.record.started_at,
        )
        self._say_who_is_down()
        way_out = "`make down`" if self.detached else "Ctrl-C, or `make down` in another terminal,"
        self.terminal.say(f"\n{way_out} stops everything.")
        self.record.is_ready = True
        self._save_record()

    def _are_roles_settled(self) -> bool:
        """Whether each role works or has ended."""
        return all(
            not role.is_running or self._logs[role.name].is_ready or role.lived_seconds > SETTLED_SECONDS
            for role in self._roles.values()
        )

    def _say_who_is_down(self) -> None:
        down = [role for role in self._roles.values() if not role.is_running]
        self.record.roles_down = [role.name for role in down]
        if down:
            self.terminal.say("")
        for role in down:
            self.terminal.say(f"  {summary.describe_down(role.record)}", style="red")
        if down:
            self.terminal.say("    All else stays up; what is down is tried again every half minute or sooner.")

    def _save_record(self) -> None:
        try:
            self.home.write_record(self.record)
        except OSError as error:  # a full disk must not end what runs
            self.terminal.say(f"{self.home.record_file} cannot be written: {error.strerror}", style="red")

    def _start_servers(self) -> None:
        for key, server in self.servers.items():
            self._heed_stop()
            survived = server.is_running()
            with self.terminal.step(f"{server.title} {'found running' if survived else 'started'}"):
                self._addresses[key] = server.start()
        # Without an embedded server its old address must not be found either.
        self.home.write_private(self.home.servers_file, json.dumps(self._addresses))

    def _prepare(self) -> None:
        self._heed_stop()
        begun = time.monotonic()
        command = [sys.executable, "-m", "config.launch.preparation"]
        log = self.home.logs / "preparation.log"
        with (
            log.open("w") as errors,
            subprocess.Popen(
                command,
                env=self._environment(),
                cwd=env.REPOSITORY,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            ) as child,
        ):
            output = self._read_output(child)
        self._heed_stop()
        if child.returncode != 0:
            raise LaunchError(f"The store could not be prepared; the end of {log}:\n{read_log_end(log, lines=8)}")
        done: dict[str, float] = json.loads(output)
        self.terminal.done(", ".join(done), seconds=time.monotonic() - begun)

    def _read_output(self, child: subprocess.Popen[str]) -> str:
        while True:
            try:
                return child.communicate(timeout=0.2)[0]
            except subprocess.TimeoutExpired:
                if self._stop_signal is not None:
                    child.kill()

    def _start_roles(self) -> None:
        self._heed_stop()
        for name, command in read_procfile(env.REPOSITORY / "Procfile").items():
            if name == LISTENER and not env.text("CELOMETER_NOTIFICATION_URLS"):
                continue
            role = Role(name, command=command, env=self._environment(), cwd=env.REPOSITORY, events=self._events)
            self._roles[name] = role
            self._logs[name] = RoleLog(name, directory=self.home.logs, terminal=self.terminal)
            self.record.roles.append(role.record)
            role.start()

    def _environment(self) -> dict[str, str]:
        """The roles find the programs of this very Python, and this home, wherever they are started from."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        return os.environ | {
            "PATH": path,
            "PYTHONUNBUFFERED": "1",
            "CELOMETER_HOME": str(self.home.root),
            "CELOMETER_PORT": str(self.port),
        }

    def _await_readiness(self) -> None:
        begun = time.monotonic()
        self._watch(until=lambda: summary.is_ready(self.port), seconds=READY_SECONDS)
        if not summary.is_ready(self.port):
            log = self._logs["api"].path if "api" in self._logs else self.home.logs
            raise LaunchError(
                f"{summary.base_url(self.port)}/readyz did not answer within {READY_SECONDS:.0f} s; "
                f"the end of {log}:\n{read_log_end(log, lines=8)}"
            )
        self.terminal.done(f"{len(self._roles)} roles started, the API answers", seconds=time.monotonic() - begun)

    def _await_samples(self) -> list[dict[str, Any]]:
        begun = time.monotonic()
        token = self.home.token_file.read_text().strip()
        samples: list[dict[str, Any]] = []

        def arrived() -> bool:
            samples[:] = summary.read_samples(self.port, token=token)
            return bool(samples)

        self._watch(until=arrived, seconds=FIRST_SAMPLES_SECONDS)
        if samples:
            which = "first samples" if summary.are_new(samples, self.record.started_at) else "earlier samples"
            self.terminal.done(f"{which} are in the store", seconds=time.monotonic() - begun)
        return samples

    # --- watch ---------------------------------------------------------------------------------------------

    def _watch(self, *, until: Callable[[], bool], seconds: float = float("inf")) -> None:
        """Keep everything running until the condition holds, the time is over, or a stop is asked for."""
        give_up_at = time.monotonic() + seconds
        look_at = 0.0
        while time.monotonic() < give_up_at:
            self._heed_stop()
            self._handle_events(seconds=0.1)
            for role in self._roles.values():
                if role.restart_when_due():
                    self.terminal.say(f"{role.name:>10} | restarted")
            self._revive_servers()
            if time.monotonic() >= look_at:
                if until():
                    return
                look_at = time.monotonic() + 0.3

    def _handle_events(self, *, seconds: float) -> None:
        """Take in what the roles said and what became of them, waiting so long for the first word."""
        try:
            message = self._events.get(timeout=seconds)
            while True:
                self._handle(message)
                message = self._events.get_nowait()
        except queue.Empty:
            return

    def _handle(self, message: Message) -> None:
        role = self._roles[message.name]
        if message.type == "start":
            self._logs[role.name].note_start()
            role.note_start(message.data["pid"])
            self._save_record()
        elif message.type == "stop":
            log = self._logs[role.name]
            how, words = describe_end(message.data["returncode"], log.last_words)
            pause = role.note_end(words or how)
            if self._stop_signal is None:
                self._save_record()
                why = f": {words}" if words else ""
                text = f"{role.name:>10} | {how}{why}; again in {pause:.0f} s (see {log.path})"
                self.terminal.say(text, style="red")
        else:
            text = message.data if isinstance(message.data, str) else message.data.decode(errors="replace")
            self._logs[role.name].write(text.rstrip("\n"), aloud=self._stop_signal is None)

    def _revive_servers(self) -> None:
        if time.monotonic() < self._check_servers_at:
            return
        self._check_servers_at = time.monotonic() + SERVER_CHECK_SECONDS
        for key, server in self.servers.items():
            if not server.is_running():
                self._revive(key, server)

    def _revive(self, key: str, server: EmbeddedServer) -> None:
        self.terminal.say(f"{server.title} ended; it is started again (see {server.log})", style="red")
        try:
            address = server.start()
        except (LaunchError, OSError) as error:
            self.terminal.say(str(error), style="red")
            self._check_servers_at = time.monotonic() + SERVER_RETRY_SECONDS
            return
        if address != self._addresses[key]:
            self.terminal.say(f"{server.title} has a new address; all roles are started again")
            self._addresses[key] = address
            self.home.write_private(self.home.servers_file, json.dumps(self._addresses))
            stop_groups(self.record.roles, drain=lambda pause: self._handle_events(seconds=pause))

    # --- stop ----------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        """Roles first, then what they stand on. Ends with an empty record, or with what could not be stopped."""
        begun = time.monotonic()
        self._stop_signal = self._stop_signal or signal.SIGTERM
        was_up = bool(self._roles)
        if was_up:
            self.terminal.say("\nStopping …")
        while any(role.is_waiting for role in self._roles.values()) and time.monotonic() < begun + START_WORD_SECONDS:
            self._handle_events(seconds=0.1)
        stop_groups(self.record.roles, drain=lambda pause: self._handle_events(seconds=pause))
        stop_servers(self.home)
        self.home.drop_record()
        if was_up:
            self.terminal.done("everything is stopped", seconds=time.monotonic() - begun)


def describe_end(code: int, last_words: str) -> tuple[str, str]:
    """How a process ended, and what it said of it: one that was killed by a signal said nothing of it."""
    return (f"was killed (signal {-code})", "") if code < -1 else (f"ended with {code}", last_words)


def choose_servers(home: Home) -> dict[str, EmbeddedServer]:
    """The servers to embed, by the key of their address: those that the environment does not name."""
    servers: dict[str, EmbeddedServer] = {}
    if not env.text("CELOMETER_DATABASE_URL"):
        servers["database_url"] = EmbeddedPostgres(home.postgres)
    if not env.text("CELOMETER_BROKER_URL"):
        servers["broker_url"] = EmbeddedBroker(home.broker)
    return servers


def stop_leftovers(home: Home, *, terminal: Terminal) -> None:
    """End the roles that a killed supervisor left. Servers that still run are taken over as they are."""
    record = home.read_record()
    names = stop_groups(record.roles)
    if names:
        terminal.say(f"  ✓ stopped what a killed run left: {', '.join(names)}")
    home.drop_record()


def stop_servers(home: Home) -> None:
    """End this home's embedded servers, also those of an earlier start with another environment."""
    home.servers_file.unlink(missing_ok=True)
    for server in (EmbeddedBroker(home.broker), EmbeddedPostgres(home.postgres)):
        server.stop()


def check_port(port: int) -> None:
    """Raises LaunchError when somebody else listens there."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError as error:
            raise LaunchError(
                f"Port {port} may not be used: {error.strerror}. Set CELOMETER_PORT to one above 1023."
            ) from None
        except OSError:
            raise LaunchError(
                f"Port {port} on {HOST} is taken{_name_listener(port)}. Stop that, or choose another port: "
                f"CELOMETER_PORT={port + 1} make run"
            ) from None


def _name_listener(port: int) -> str:
    """` by NAME (process PID)` where the system tells us."""
    try:
        for connection in psutil.net_connections(kind="tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass
    return ""


def say_what_is_missing(terminal: Terminal) -> None:
    """Without libvirt's library the host alone is metered, and one line says why."""
    if importlib.util.find_spec("libvirt") is None:
        terminal.say(
            "  – libvirt-python is missing, so this host is metered but no domains: install libvirt-dev, pkg-config "
            "and gcc, then `make install`",
            style="yellow",
        )
