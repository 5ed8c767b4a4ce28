"""The launcher's files under CELOMETER_HOME, and the lock that lets one supervisor run per home."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from config.launch.errors import LaunchError

LOCK_ADVICE = "`make status` shows it, `make down` stops it."


@dataclass
class RoleRecord:
    """One process of the Procfile, as the last supervisor knew it; ``last_words`` are those of the process that ended last."""

    name: str
    identity: str = ""
    restarts: int = 0
    started_at: float = 0.0
    last_words: str = ""


@dataclass
class LaunchRecord:
    """What runs for this home; on disk before anybody else needs to know it."""

    supervisor: str = ""
    port: int = 0
    started_at: float = 0.0
    is_ready: bool = False
    # The roles that had ended when the start was over.
    roles_down: list[str] = field(default_factory=list)
    roles: list[RoleRecord] = field(default_factory=list)

    @property
    def supervisor_pid(self) -> int:
        return int(self.supervisor.partition(" ")[0] or 0)


@dataclass(frozen=True)
class Home:
    """Where everything of one launched Celometer lies."""

    root: Path

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    @property
    def servers_file(self) -> Path:
        return self.run / "servers.json"

    @property
    def record_file(self) -> Path:
        return self.run / "launch.json"

    @property
    def launch_log(self) -> Path:
        return self.logs / "launch.log"

    @property
    def token_file(self) -> Path:
        return self.run / "operator.token"

    @property
    def admin_password_file(self) -> Path:
        return self.run / "admin.password"

    @property
    def postgres(self) -> Path:
        return self.root / "postgres"

    @property
    def broker(self) -> Path:
        return self.root / "broker"

    def make(self) -> None:
        """Create the directories; root's home can be passed through by the account of its servers, not read."""
        self.root.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700, parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)
        self.logs.mkdir(mode=0o700, exist_ok=True)

    def write_private(self, path: Path, text: str) -> None:
        """Replace a file at once, readable to this user only."""
        draft = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                file.write(text)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)

    def drop_record(self) -> None:
        self.record_file.unlink(missing_ok=True)

    def write_record(self, record: LaunchRecord) -> None:
        self.write_private(self.record_file, json.dumps(asdict(record), indent=1))

    def read_record(self) -> LaunchRecord:
        """The last record, or an empty one."""
        try:
            raw: dict[str, Any] = json.loads(self.record_file.read_text())
            roles = [RoleRecord(**role) for role in raw.pop("roles")]
            return LaunchRecord(roles=roles, **raw)
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return LaunchRecord()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Held by the one supervisor of this home; the kernel lets go of it even when that is killed."""
        self.make()
        with (self.run / "launch.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pid = self.read_record().supervisor_pid
                raise LaunchError(f"Celometer already runs on {self.root} (process {pid}): {LOCK_ADVICE}") from None
            yield
