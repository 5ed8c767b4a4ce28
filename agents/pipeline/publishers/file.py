"""``file:///var/log/samples``: a line of JSON for each sample and event, rotated where the URL says so.

Any number of processes may write one file: each appends whole lines, and rotates, while it holds a lock on a file beside it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar
from urllib.parse import unquote

from ...contract import Event, Outgoing
from .address import parse_address
from .buffer import Entry, Outcome
from .buffered import BufferedPublisher, limits_of
from .shapes import event_json, sample_json

__all__ = ["FilePublisher"]

_LOOK_FOR_LOCK_SECONDS = 0.05


class FilePublisher(BufferedPublisher):
    """Appends to one file. ``max_bytes`` and ``backup_count`` rotate it: NAME.1 is the newest of the old ones."""

    schemes: ClassVar[tuple[str, ...]] = ("file",)

    def __init__(self, url: str) -> None:
        address = parse_address(url)
        self._path = Path(unquote(address.path))
        self._max_bytes: int | None = address.values["max_bytes"]
        self._backup_count: int | None = address.values["backup_count"]
        super().__init__(address, limits_of(address))

    def sample_entry(self, outgoing: Outgoing) -> Entry:
        return Entry("", sample_json(outgoing) + b"\n")

    def event_entry(self, event: Event) -> Entry:
        return Entry("", event_json(event).replace(b"\r", b" ").replace(b"\n", b" ") + b"\n")

    def send(self, batch: Sequence[Entry], timeout_seconds: float) -> Outcome:
        written = 0
        try:
            with self._locked(timeout_seconds):
                while written < len(batch):
                    written += self._append([entry.body for entry in batch[written:]])
        except OSError as error:
            return Outcome(left=batch[written:], error=f"{error.filename or self._path}: {error.strerror or error}")
        return Outcome()

    @contextlib.contextmanager
    def _locked(self, timeout_seconds: float) -> Iterator[None]:
        """Hold the file's lock; an OSError when another holds it for so long. It goes with the process that holds it."""
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            give_up_at = time.monotonic() + timeout_seconds
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() >= give_up_at:
                        raise TimeoutError(0, "another process holds its lock", f"{self._path}.lock") from None
                    time.sleep(_LOOK_FOR_LOCK_SECONDS)
            yield
        finally:
            os.close(lock)

    def _append(self, lines: Sequence[bytes]) -> int:
        """Append as many whole lines as the file has room for, at least one, and return how many."""
        file = self._open_with_room(len(lines[0]))
        try:
            before = os.fstat(file).st_size
            fitting = self._fitting(lines, before)
            try:
                _write_all(file, b"".join(lines[:fitting]))
            except OSError:
                # A disk that is full takes a part: half a line would spoil the next one.
                os.ftruncate(file, before)
                raise
        finally:
            os.close(file)
        return fitting

    def _open_with_room(self, needed: int) -> int:
        file = self._open()
        size = os.fstat(file).st_size
        if self._max_bytes and self._backup_count and size and size + needed > self._max_bytes:
            os.close(file)
            self._rotate(self._backup_count)
            file = self._open()
        return file

    def _open(self) -> int:
        # Opened anew for each batch: another process, or logrotate, may have put another file there.
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)

    def _fitting(self, lines: Sequence[bytes], size: int) -> int:
        if not self._max_bytes:
            return len(lines)
        count = 0
        for line in lines:
            size += len(line)
            if count and size > self._max_bytes:
                break
            count += 1
        return count

    def _rotate(self, backup_count: int) -> None:
        for number in range(backup_count - 1, 0, -1):
            with contextlib.suppress(FileNotFoundError):
                self._backup(number).replace(self._backup(number + 1))
        self._path.replace(self._backup(1))

    def _backup(self, number: int) -> Path:
        return Path(f"{self._path}.{number}")


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
