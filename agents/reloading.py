"""What is made of files, made again when they have changed: nobody restarts a meter for a line in a file."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Generic, TypeVar

from .definition_files import BadDefinitions, Mistake

__all__ = ["Reloaded", "place_of", "require_directory"]

logger = logging.getLogger(__name__)

# How long changed files must have stayed as they are before they are read, and how often that is waited for.
_AT_REST_SECONDS = 0.2
_MOST_LOOKS = 10
Read = TypeVar("Read")
# Path, time of the last change in ns, size.
Stamp = tuple[str, int, int]


class Reloaded(Generic[Read]):
    """What ``read`` makes of files, made again when one of them has changed.

    ``files`` gives all that are read, or would be if they were there. Files with mistakes are told once, and change nothing until they
    are mended. The first reading raises BadDefinitions, unless ``instead`` says what goes until then.
    """

    def __init__(
        self, read: Callable[[], Read], files: Callable[[], Iterable[Path]], *, instead: Read | None = None
    ) -> None:
        self._read = read
        self._files = files
        self._stamp: list[Stamp] = []
        if instead is None:
            self._stamp = self._stamp_now()
            self._value = read()
        else:
            self._value = instead

    def current(self) -> Read:
        """What the files say now."""
        if self._stamp_now() != self._stamp:
            stamp = self._stamp_at_rest()
            if stamp == self._stamp:
                return self._value
            self._stamp = stamp
            try:
                self._value = self._read()
                logger.info("definitions and pipelines were read anew")
            except (BadDefinitions, OSError) as error:
                logger.error("changed definitions are not used, the former ones go on:\n%s", error)
        return self._value

    def _stamp_at_rest(self) -> list[Stamp]:
        """The files' stamp once nothing changes any more: a file that is being written is often a good one, with less in it."""
        stamp = self._stamp_now()
        for _ in range(_MOST_LOOKS):
            time.sleep(_AT_REST_SECONDS)
            before, stamp = stamp, self._stamp_now()
            if stamp == before:
                break
        return stamp

    def _stamp_now(self) -> list[Stamp]:
        return [(str(path), status.st_mtime_ns, status.st_size) for path in self._files() if (status := _status(path))]


def require_directory(own: Path | None) -> None:
    """Without an operator's directory the shipped files would count, and other samples be made. Raises BadDefinitions."""
    if own and not own.is_dir():
        raise BadDefinitions([Mistake(own, 0, "expected the directory that CELOMETER_CONFIG_DIR names")])


def place_of(name: str, own: Path | None, shipped: Path) -> Path:
    """Where a file is read from: the operator's directory if it is there, else the shipped one."""
    return own / name if own and (own / name).exists() else shipped / name


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
