"""The bounded buffer and the sending thread that publishers share.

What does not fit displaces what has waited longest: whoever watches wants what is new, and a batch that a place never takes cannot hold
up the others for ever.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ...contract import PublisherState
from .drops import Drops

__all__ = ["Buffer", "Entry", "Limits", "Outcome"]

logger = logging.getLogger(__name__)

# The longest that a place may put us off by Retry-After.
_LONGEST_PUT_OFF_SECONDS = 300.0


class Entry(NamedTuple):
    """One sample or event, encoded. Entries of different kinds never go in one batch; ``key`` keeps some in order among themselves."""

    kind: str
    body: bytes
    key: bytes = b""


class Outcome(NamedTuple):
    """What became of a batch: ``refused`` of it will never be taken, ``left`` is worth another try; all else was taken.

    ``error`` is for people (no credentials in it); ``pause_seconds``: not before.
    """

    refused: int = 0
    left: Sequence[Entry] = ()
    error: str = ""
    pause_seconds: float = 0.0


# Sends a batch, within so many seconds.
Send = Callable[[Sequence[Entry], float], Outcome]


class Limits(NamedTuple):
    """The bounds of a buffer (what is being sent comes on top, one batch) and the pace of its thread."""

    entries: int = 100_000
    bytes: int = 64 * 1024 * 1024
    batch_entries: int = 500
    batch_bytes: int = 1024 * 1024
    timeout_seconds: float = 5.0
    max_retries: int | None = None
    first_pause_seconds: float = 0.5
    longest_pause_seconds: float = 60.0
    calm_seconds: float = 60.0


class Buffer:
    """Takes entries at once and sends them from a thread of its own. Given = sent + waiting + dropped, at every moment."""

    def __init__(self, name: str, send: Send, limits: Limits) -> None:
        self._name = name
        self._send = send
        self._limits = limits
        self._changed = threading.Condition()
        self._waiting: deque[Entry] = deque()
        self._waiting_bytes = 0
        self._in_flight = 0
        self._sent = 0
        self._drops = Drops(name, calm_seconds=limits.calm_seconds)
        self._error = ""
        self._is_failing = self._failure_is_told = False
        self._tries = 0  # of the batch that stands first again
        self._tried = 0  # its entries
        self._failures = 0  # in a row, whatever the batch
        self._resume_at = 0.0
        self._close_by: float | None = None
        self._is_closed = False
        self._thread: threading.Thread | None = None

    def add(self, entries: Sequence[Entry]) -> None:
        """Take entries; what no longer fits displaces the oldest. Never waits for the place, never raises."""
        with self._changed:
            if self._close_by is not None:
                self._drops.add(len(entries), "it is closed")
                return
            for entry in entries:
                self._waiting.append(entry)
                self._waiting_bytes += len(entry.body)
            self._displace()
            self._wake()

    def drop(self, count: int, reason: str) -> None:
        """Count what could not even be made an entry."""
        with self._changed:
            self._drops.add(count, reason)
            self._wake()

    def state(self) -> PublisherState:
        with self._changed:
            return PublisherState(self._sent, len(self._waiting) + self._in_flight, self._drops.count, self._error)

    def close(self, timeout_seconds: float) -> bool:
        """Send what waits, for at most so long; what is left then is dropped and counted. Says whether the thread is through with it:
        one that hangs in a ``send`` is left to itself.
        """
        with self._changed:
            if self._close_by is not None:
                return False
            self._close_by = time.monotonic() + timeout_seconds
            self._resume_at = 0.0
            self._changed.notify()
        if self._thread:
            self._thread.join(timeout_seconds)
        with self._changed:
            self._is_closed = True
            self._drops.add(
                len(self._waiting) + self._in_flight, f"it was closed before they could be sent{self._why()}"
            )
            self._waiting.clear()
            self._waiting_bytes = self._in_flight = 0
            self._drops.tell_at_close()
        return not (self._thread and self._thread.is_alive())

    def _why(self) -> str:
        return f": {self._error}" if self._error else ""

    def _wake(self) -> None:
        if not self._thread and self._close_by is None:
            self._thread = threading.Thread(target=self._run, name=f"publisher {self._name}", daemon=True)
            self._thread.start()
        self._changed.notify()

    def _displace(self) -> None:
        displaced = 0
        while len(self._waiting) > self._limits.entries or self._waiting_bytes > self._limits.bytes:
            self._waiting_bytes -= len(self._waiting.popleft().body)
            displaced += 1
        if displaced:
            self._tried = max(0, self._tried - displaced)
            self._tries = self._tries if self._tried else 0
            self._drops.add(displaced, f"its buffer is full{self._why()}")

    def _run(self) -> None:
        while True:
            with self._changed:
                self._tell()
                now = time.monotonic()
                if self._close_by is not None and (not self._waiting or now >= self._close_by):
                    return
                if not self._waiting or now < self._resume_at:
                    self._changed.wait(self._wait_seconds(now))
                    continue
                batch = self._take()
                timeout_seconds = self._timeout_seconds(now)
            outcome = self._try(batch, timeout_seconds)
            with self._changed:
                if self._is_closed:
                    return  # it was counted as dropped
                self._settle(batch, outcome)

    def _wait_seconds(self, now: float) -> float | None:
        """Until there may be something to do by itself; None: until something happens."""
        waits = [
            self._drops.seconds_to_calm(),
            self._resume_at - now if self._waiting else None,
            None if self._close_by is None else self._close_by - now,
        ]
        return min((max(0.0, wait) for wait in waits if wait is not None), default=None)

    def _timeout_seconds(self, now: float) -> float:
        if self._close_by is None:
            return self._limits.timeout_seconds
        return max(0.01, min(self._limits.timeout_seconds, self._close_by - now))

    def _take(self) -> list[Entry]:
        """The next batch: entries of one kind; one that is tried again is not made larger."""
        batch: list[Entry] = []
        size = 0
        most = self._tried or self._limits.batch_entries
        while self._waiting and len(batch) < most:
            entry = self._waiting[0]
            if batch and (entry.kind != batch[0].kind or size + len(entry.body) > self._limits.batch_bytes):
                break
            batch.append(self._waiting.popleft())
            size += len(entry.body)
        self._waiting_bytes -= size
        self._in_flight = len(batch)
        return batch

    def _try(self, batch: Sequence[Entry], timeout_seconds: float) -> Outcome:
        try:
            return self._send(batch, timeout_seconds)
        except (
            Exception
        ) as error:  # nothing may end the thread; the text could hold credentials, the place in our code cannot
            place = traceback.extract_tb(error.__traceback__)[-1]
            return Outcome(left=batch, error=f"unexpected {type(error).__name__} in {place.name}, line {place.lineno}")

    def _settle(self, batch: Sequence[Entry], outcome: Outcome) -> None:
        left = outcome.left
        self._in_flight = 0
        self._sent += len(batch) - outcome.refused - len(left)
        self._drops.add(outcome.refused, outcome.error)
        self._error, self._is_failing = outcome.error, bool(left)
        if not left:
            self._tries = self._tried = self._failures = 0
            return
        self._failures += 1
        self._tries = self._tries + 1 if len(left) == len(batch) else 1
        self._tried = len(left)
        if self._limits.max_retries is not None and self._tries > self._limits.max_retries:
            self._drops.add(len(left), f"{self._tries} tries failed: {outcome.error}")
            self._tries = self._tried = 0
        else:
            self._waiting.extendleft(reversed(left))
            self._waiting_bytes += sum(len(entry.body) for entry in left)
            self._displace()
        self._resume_at = time.monotonic() + self._pause_seconds(outcome)

    def _pause_seconds(self, outcome: Outcome) -> float:
        """Twice as long each time, less up to half of it by chance: many senders shall not come back at once."""
        doubled = self._limits.first_pause_seconds * 2.0 ** min(self._failures - 1, 30)
        pause_seconds = min(doubled, self._limits.longest_pause_seconds) * random.uniform(0.5, 1.0)
        return max(pause_seconds, min(outcome.pause_seconds, _LONGEST_PUT_OFF_SECONDS))

    def _tell(self) -> None:
        self._drops.tell()
        if self._is_failing and not self._failure_is_told:
            logger.warning("publisher %s does not take anything, it is tried again: %s", self._name, self._error)
        elif self._failure_is_told and not self._is_failing:
            logger.info("publisher %s takes what it is given again", self._name)
        self._failure_is_told = self._is_failing
