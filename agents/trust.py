"""Whose word a role of the agents' takes: its own key's, and those whose public halves lie in a directory."""

from __future__ import annotations

import logging
from pathlib import Path

from metering.messages import PublicKey

__all__ = ["TrustedKeys"]

logger = logging.getLogger(__name__)


class TrustedKeys:
    """Looks public keys up by their id; a file that is added to the directory counts from then on, one that is removed no longer."""

    def __init__(self, own: PublicKey, directory: Path) -> None:
        self._own = own
        self._directory = directory
        self._read_at: int | None = None
        self._keys: dict[str, PublicKey] = {}

    def find(self, key_id: str) -> PublicKey | None:
        if key_id == self._own.id:
            return self._own
        self._read_when_changed()
        return self._keys.get(key_id)

    def _read_when_changed(self) -> None:
        try:
            changed_at = self._directory.stat().st_mtime_ns
        except FileNotFoundError:
            self._keys, self._read_at = {}, None
            return
        if changed_at != self._read_at:
            self._keys = {key.id: key for key in map(_read, sorted(self._directory.glob("*.pub"))) if key}
            self._read_at = changed_at


def _read(path: Path) -> PublicKey | None:
    try:
        return PublicKey.from_pem(path.read_text())
    except (OSError, ValueError) as error:
        logger.error("%s is left out of the trusted keys: %s", path, error)
        return None
