"""The launcher's command line: run, up, down, status, demo."""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from agents.definition_files import BadDefinitions
from agents.polling import load_sources
from config import env
from config.launch import demo, summary
from config.launch.broker import EmbeddedBroker
from config.launch.errors import LaunchError
from config.launch.home import Home, LaunchRecord
from config.launch.identity import is_same_process
from config.launch.postgres import EmbeddedPostgres
from config.launch.supervisor import DEFAULT_PORT, Supervisor, stop_leftovers, stop_servers
from config.launch.terminal import Terminal

DOWN_SECONDS = 90.0
# Exit codes: of `status` when nothing runs; of `status` and `up` when not all of it does.
NOT_UP = 3
PARTLY_UP = 4


def run(*, detached: bool) -> int:
    """Everything in the foreground, until Ctrl-C."""
    port = check_settings()
    Supervisor(Home(env.home()), port=port, terminal=Terminal(), detached=detached).run()
    return 0


def up() -> int:
    """Everything in the background; returns when it is ready."""
    home = Home(env.home())
    with home.lock():  # a clear refusal, before a process is started that would only say the same
        check_settings()
    with home.launch_log.open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "config.launch", "run", "--detached"],
            cwd=env.REPOSITORY,
            env=os.environ | terminal_width(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        return _follow(child, home=home)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        return 130


def terminal_width() -> dict[str, str]:
    """For a process that writes to a file what will be read here."""
    return {"COLUMNS": str(shutil.get_terminal_size().columns)} if sys.stdout.isatty() else {}


def _follow(child: subprocess.Popen[bytes], *, home: Home) -> int:
    """Show what the supervisor says until it is ready, or has ended."""
    with home.launch_log.open() as output:
        while child.poll() is None:
            record = home.read_record()
            is_ready = record.is_ready and record.supervisor_pid == child.pid
            print(output.read(), end="", flush=True)
            if is_ready:
                return PARTLY_UP if record.roles_down else 0
            time.sleep(0.1)
        print(output.read(), end="", flush=True)
    return child.returncode or 1


def down() -> int:
    """Stop everything of this home, whoever started it and however that ended."""
    home = Home(env.home())
    terminal = Terminal()
    record = home.read_record()
    if is_same_process(record.supervisor):
        terminal.say(f"Stopping process {record.supervisor_pid} and all that it runs …")
        _stop_supervisor(record)
    with home.lock():
        stop_leftovers(home, terminal=terminal)
        stop_servers(home)
    terminal.say(f"Nothing of Celometer runs on {home.root} now.")
    return 0


def _stop_supervisor(record: LaunchRecord) -> None:
    """It stops all that it runs; one that hangs is killed, and what it leaves is ours to stop."""
    for number, seconds in ((signal.SIGTERM, DOWN_SECONDS), (signal.SIGKILL, 5.0)):
        give_up_at = time.monotonic() + seconds
        if is_same_process(record.supervisor):
            os.kill(record.supervisor_pid, number)
        while is_same_process(record.supervisor) and time.monotonic() < give_up_at:
            time.sleep(0.05)


def status() -> int:
    """What runs; the exit code is 0 when all does, 3 when nothing does, 4 when not all of it does."""
    home = Home(env.home())
    servers = {server.title: server.pid for server in (EmbeddedPostgres(home.postgres), EmbeddedBroker(home.broker))}
    record = home.read_record()
    is_up = is_same_process(record.supervisor)
    if is_up or any(servers.values()):
        summary.print_status(Console(), record=record, servers=servers)
    if not is_up:
        print(f"Celometer does not run on {home.root}: `make up` or `make run` starts it.")
        return NOT_UP
    print(f"{summary.base_url(record.port)}/ {'answers' if summary.is_ready(record.port) else 'does not answer'}")
    return 0 if all(is_same_process(role.identity) for role in record.roles) else PARTLY_UP


def show_demo() -> int:
    """Thirty days of a make-believe cloud to look at; starts everything unless it runs."""
    home = Home(env.home())
    if not is_same_process(home.read_record().supervisor):
        code = up()
        if code:
            return code
    demo.fill_store()
    demo.show_questions(home, port=home.read_record().port)
    return 0


def check_settings() -> int:
    """Read what every role will read, before any of them starts; return the API's port. Raises BadSetting or BadDefinitions."""
    interval_seconds = env.integer("CELOMETER_POLL_INTERVAL", None)
    own = Path(env.text("CELOMETER_CONFIG_DIR", "/nowhere")) / "polling.yaml"
    shipped = env.REPOSITORY / "config" / "defaults" / "polling.yaml"
    load_sources(own if own.exists() else shipped, interval_seconds=interval_seconds)
    return read_port()


def read_port() -> int:
    """The API's port. Raises BadSetting."""
    port = env.integer("CELOMETER_PORT", DEFAULT_PORT) or DEFAULT_PORT
    if port > 65_535:
        raise env.BadSetting(f"CELOMETER_PORT={port}: expected a port number of at most 65535")
    return port


def describe_os_error(error: OSError) -> str:
    """What to do about a system call that failed, for the ways in which a home fails."""
    place = error.filename or env.home()
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No space is left for {place}: free some, or set CELOMETER_HOME to a directory on another disk."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR, errno.EEXIST):
        return f"{place} cannot be used ({error.strerror}): set CELOMETER_HOME to a directory of yours."
    return f"{place}: {error.strerror or error}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m config.launch", description=__doc__)
    parser.add_argument("command", choices=["run", "up", "down", "status", "demo"])
    parser.add_argument("--detached", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        if options.command == "run":
            return run(detached=options.detached)
        return {"up": up, "down": down, "status": status, "demo": show_demo}[options.command]()
    except (LaunchError, env.BadSetting, BadDefinitions) as error:
        text = str(error)
    except OSError as error:
        text = describe_os_error(error)
    print(f"celometer: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
