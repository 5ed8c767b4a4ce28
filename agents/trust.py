"""Whose word a role of the agents' takes: its own key's, and those whose public halves lie in a directory."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from metering.messages import PublicKey

__all__ = ["TrustedKeys"]

logger = logging.getLogger(__name__)


class TrustedKeys:
    """Looks public keys up by their id; a file that is added to the directory or changed counts from then on, one that is
    removed no longer."""

    def __init__(self, own: PublicKey, directory: Path) -> None:
        self._own = own
        self._directory = directory
        self._seen: list[tuple[str, int, int]] | None = None
        self._keys: dict[str, PublicKey] = {}
        # What to do about a key that is not found; continues a sentence.
        self.remedy = (
            f": expected this role's own or one in {directory}; put the listener's .pub file there, then release this"
        )

    def find(self, key_id: str) -> PublicKey | None:
        if key_id == self._own.id:
            return self._own
        self._read_when_changed()
        return self._keys.get(key_id)

    def _read_when_changed(self) -> None:
        """Raises OSError where the directory is there and cannot be read: who is trusted is not known then."""
        try:
            with os.scandir(self._directory) as entries:
                files = [(entry.path, entry.stat()) for entry in entries if entry.name.endswith(".pub")]
        except FileNotFoundError:
            files = []
        seen = sorted((path, status.st_mtime_ns, status.st_size) for path, status in files)
        if seen != self._seen:
            self._keys = {key.id: key for key in (_read(Path(path)) for path, _, _ in seen) if key}
            self._seen = seen


def _read(path: Path) -> PublicKey | None:
    try:
        return PublicKey.from_pem(path.read_text())
    except (OSError, ValueError) as error:
        logger.error("%s is left out of the trusted keys: %s", path, error)
        return None
