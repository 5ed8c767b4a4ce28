"""The unprivileged account and the places of the embedded servers when Celometer is started by root.

PostgreSQL refuses to run as root, and a broker has no business doing so. An ordinary user's servers run as that
user and live where they are told; root's run as `celometer-db`, which must be able to reach its data and its
programs. Where it cannot (a checkout or a home of mode 0700) both move under `/var/lib/celometer`, and a
symbolic link stands in the old place: nobody's directories are opened.
"""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.launch.errors import LaunchError

ACCOUNT_NAME = "celometer-db"
SHARED_ROOT = Path("/var/lib/celometer")
# Nothing of the caller's environment (PGDATA, PGOPTIONS, LD_PRELOAD, secrets) reaches the servers.
SERVER_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


@dataclass(frozen=True)
class Account:
    """The user that runs the servers."""

    name: str
    uid: int
    gid: int
    is_caller: bool

    def popen_options(self) -> dict[str, Any]:
        """Arguments for `subprocess` that run a command as this user, with a clean environment."""
        options: dict[str, Any] = {"env": SERVER_ENVIRONMENT, "stdin": subprocess.DEVNULL, "cwd": "/"}
        if not self.is_caller:
            options |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return options

    def can_run(self, command: Sequence[str | Path]) -> bool:
        """Whether the command ends well for this user."""
        options = self.popen_options() | {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        try:
            return subprocess.run(command, **options, check=False).returncode == 0
        except OSError:
            return False

    def can_reach(self, path: Path) -> bool:
        """Whether this user may enter the directory, whatever its modes, ACLs and mounts."""
        return self.can_run(["/bin/sh", "-c", 'cd "$1"', "sh", path])

    def take(self, directory: Path) -> None:
        """Make the directory this user's own, and nobody else's to look into."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = directory.stat().st_uid
        if owner != self.uid and any(directory.iterdir()):
            raise LaunchError(
                f"{directory} holds data of user {_name_of(owner)!r}, and its server would run as {self.name!r}: "
                f"start Celometer as before, or give it another CELOMETER_HOME."
            )
        os.chown(directory, self.uid, self.gid)
        directory.chmod(0o700)

    def write(self, path: Path, text: str) -> None:
        """Replace a file of this user's by one that only this user can read."""
        draft = path.with_name(path.name + ".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        os.chown(draft, self.uid, self.gid)
        draft.replace(path)


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def find_account() -> Account:
    """The caller, or for root the account of its servers, which is made when it is missing."""
    uid = os.geteuid()
    if uid != 0:
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:
            raise LaunchError(
                f"User id {uid} has no entry in the user database, and PostgreSQL does not start without one: "
                "run as a named user, or set CELOMETER_DATABASE_URL and CELOMETER_BROKER_URL."
            ) from None
        return Account(name=name, uid=uid, gid=os.getegid(), is_caller=True)
    try:
        entry = pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        _create_account()
        entry = pwd.getpwnam(ACCOUNT_NAME)
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, is_caller=False)


def _create_account() -> None:
    command = ["useradd", "--system", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", "--comment", "Celometer's embedded servers"]
    try:
        grp.getgrnam(ACCOUNT_NAME)
        command += ["--gid", ACCOUNT_NAME]
    except KeyError:
        command += ["--user-group"]
    try:
        result = subprocess.run([*command, ACCOUNT_NAME], capture_output=True, text=True, check=False)
        reason = result.stderr.strip() if result.returncode else ""
    except OSError as error:
        reason = str(error)
    # Two first starts at once: the loser of the race finds the account that the winner made.
    if reason and not _account_exists():
        raise LaunchError(
            f"PostgreSQL does not run as root, and the system user {ACCOUNT_NAME!r} could not be made for it "
            f"({reason}): start Celometer as an ordinary user, or set CELOMETER_DATABASE_URL."
        )


def _account_exists() -> bool:
    try:
        pwd.getpwnam(ACCOUNT_NAME)
    except KeyError:
        return False
    return True


def place_directory(directory: Path, *, account: Account) -> Path:
    """Where the account keeps what belongs in `directory`: there, or behind a link where it cannot get there.

    The path returned has no symbolic link in it.
    """
    return _place(directory, account=account).resolve()


def _place(directory: Path, *, account: Account) -> Path:
    if account.is_caller:
        account.take(directory)
        return directory
    if directory.is_symlink():
        place = directory.readlink()
        _make_shared_root()
        place.parent.mkdir(mode=0o711, exist_ok=True)
        account.take(place)
        return place
    directory.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    if account.can_reach(directory.parent):
        account.take(directory)
        return directory
    return _move_to_shared_root(directory, account=account)


def _move_to_shared_root(directory: Path, *, account: Account) -> Path:
    """A drawn name, not one made from the path: a deleted and newly made home must not find old data."""
    _make_shared_root()
    shelf = SHARED_ROOT / secrets.token_hex(8)
    shelf.mkdir(mode=0o711)
    place = shelf / directory.name
    if directory.exists():
        shutil.move(directory, place)
    account.take(place)
    directory.symlink_to(place)
    return place


def _make_shared_root() -> None:
    SHARED_ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)


def place_programs(site: Path, *, parts: Sequence[str], label: str, probe: str, account: Account) -> Path:
    """A directory that holds `parts` of `site` where the account can use them; `probe --version` tells.

    `label` names the copy and must change with the programs' version.
    """
    if account.is_caller or account.can_run([site / probe, "--version"]):
        return site
    copy = SHARED_ROOT / "programs" / label
    if copy.is_dir():
        return copy
    _make_shared_root()
    copy.parent.mkdir(mode=0o755, exist_ok=True)
    draft = copy.with_name(f"{label}.{secrets.token_hex(4)}")
    for part in parts:
        shutil.copytree(site / part, draft / part, symlinks=True)
    _open_to_readers(draft)
    try:
        draft.rename(copy)
    except OSError:  # another start was faster
        shutil.rmtree(draft)
    return copy


def _open_to_readers(tree: Path) -> None:
    """Our own copy of published programs: readable to all, whatever umask the wheel was installed under."""
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            runnable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runnable else 0o644)
