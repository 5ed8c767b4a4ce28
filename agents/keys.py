"""This agent's key: a file of mode 0600 that never leaves the machine, and its public half beside it."""

from __future__ import annotations

import os
from pathlib import Path

from metering.messages import PrivateKey

__all__ = ["BadKeyFile", "load_or_create", "public_path"]


class BadKeyFile(Exception):
    """The key file cannot be used; the text names it and what was expected."""


def public_path(path: Path) -> Path:
    """Where the public half of the key at ``path`` lies."""
    return path.with_suffix(".pub")


def load_or_create(path: Path) -> PrivateKey:
    """The key at ``path``; made, with its public half beside it, when there is none. Raises BadKeyFile.

    A key that others can read is refused: whoever can read it can sign as this agent.
    """
    if not path.exists():
        _create(path)
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise BadKeyFile(f"{path} has mode {mode:04o}: expected 0600, or others could sign as this agent")
    try:
        key = PrivateKey.from_pem(path.read_text())
    except (OSError, ValueError) as error:
        raise BadKeyFile(f"{path}: {error}") from error
    if not public_path(path).exists():
        public_path(path).write_text(key.public.pem())
    return key


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = PrivateKey.generate()
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key.pem())
        file.flush()
        os.fsync(file.fileno())
    try:
        # link() fails when another process was first; then its key counts.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
