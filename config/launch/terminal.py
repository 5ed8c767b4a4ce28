"""What the launcher says while it works: short lines with timings, and the roles' output in files."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape

LOG_LIMIT_BYTES = 10 * 1024 * 1024
# Tables in a log file need not fold at 80.
FILE_COLUMNS = 120
REPEAT_SECONDS = 600.0
# Celery's banner names its level as "%WARNING": that is no warning.
IMPORTANT = re.compile(r"(?<!%)\b(?:WARNING|ERROR|CRITICAL)\b|^Traceback|^[\w.]*(?:Error|Exception): ")
FAILURE = re.compile(r"\b(?:ERROR|CRITICAL)\b|^[\w.]*(?:Error|Exception): |^celometer: ")
# What Celery's workers, its clocks, gunicorn and the listener say when they have begun their work, or wait for a bus to do so.
READY = re.compile(r"celery\S*: \S+ ready\.$|beat: Starting\.\.\.$|Listening at: |: listening on |; trying again in ")
# Times and numbers differ between two reports of one trouble.
VARIABLE = re.compile(r"\d+")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """`make run | head` goes on metering when head is gone."""
        self.quiet = True


class Terminal:
    """Writes to the person who started us; a terminal that went away stops nothing."""

    def __init__(self) -> None:
        self.console: Console = _Console(highlight=False)
        if not self.console.is_terminal and "COLUMNS" not in os.environ:
            self.console.width = FILE_COLUMNS

    def say(self, text: str, *, style: str = "") -> None:
        try:
            self.console.print(escape(text), style=style or None, soft_wrap=True)
        except OSError:
            self.console.quiet = True

    def done(self, text: str, *, seconds: float) -> None:
        self.say(f"  ✓ {text}  ({seconds:.1f} s)")

    @contextmanager
    def step(self, text: str) -> Iterator[list[str]]:
        """Times the block and says it when it is done; texts put into the list are said with it."""
        begun = time.monotonic()
        remarks: list[str] = []
        yield remarks
        self.done(", ".join([text, *remarks]), seconds=time.monotonic() - begun)


class RoleLog:
    """A role's output: all of it to a file, its troubles to the terminal, each once in ten minutes."""

    def __init__(self, name: str, *, directory: Path, terminal: Terminal) -> None:
        self.name = name
        self.path = directory / f"{name}.log"
        self._terminal = terminal
        self._said_at: dict[str, float] = {}
        self._is_broken = False
        # The last error that it reported: most likely why it ended, when it ends. Without one, its last line must do.
        self._last_trouble = ""
        self._last_line = ""
        self.is_ready = False

    @property
    def last_words(self) -> str:
        """What the process said last that tells why it ended; "" when it said nothing."""
        return self._last_trouble or self._last_line

    def note_start(self) -> None:
        """What another process said before says nothing of this one."""
        self._last_trouble = self._last_line = ""
        self.is_ready = False

    def write(self, line: str, *, aloud: bool = True) -> None:
        try:
            self._append(line)
            self._is_broken = False
        except OSError as error:  # a full disk must not end the supervisor, which may be needed to free it
            if not self._is_broken:
                self._terminal.say(f"{self.path} cannot be written: {error.strerror}", style="red")
            self._is_broken = True
        if FAILURE.search(line):
            self._last_trouble = line.strip()
        self._last_line = line.strip() or self._last_line
        self.is_ready = self.is_ready or bool(READY.search(line))
        if aloud and IMPORTANT.search(line):
            self._say_once(line)

    def _append(self, line: str) -> None:
        if self.path.exists() and self.path.stat().st_size > LOG_LIMIT_BYTES:
            self.path.replace(self.path.with_suffix(".log.1"))
        with self.path.open("a") as file:
            file.write(line + "\n")

    def _say_once(self, line: str) -> None:
        now = time.monotonic()
        gist = VARIABLE.sub("", line)
        self._said_at = {text: at for text, at in self._said_at.items() if now - at < REPEAT_SECONDS}
        if gist not in self._said_at:
            self._said_at[gist] = now
            self._terminal.say(f"{self.name:>10} | {line}", style="yellow")
