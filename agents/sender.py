"""Sends what lies in the outbox, in order, to whatever ``publish`` leads to."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable

from .outbox import Outbox

__all__ = ["Publish", "Sender"]

logger = logging.getLogger(__name__)

# Hands one message to the broker; returns when the broker has it, raises anything when it may not.
Publish = Callable[[bytes], None]
_BATCHES_PER_ROUND = 20
_IDLE_SECONDS = 1.0
_MAX_BACKOFF_SECONDS = 30.0
_PRUNE_EVERY_SECONDS = 600.0


class Sender(threading.Thread):
    """The one thread that sends. While the broker is away it tries again with growing pauses; nothing leaves the outbox unsent."""

    def __init__(self, outbox: Outbox, publish: Publish, *, keep_seconds: float) -> None:
        super().__init__(name="outbox-sender", daemon=True)
        self._outbox = outbox
        self._publish = publish
        self._keep_seconds = keep_seconds
        self._wake = threading.Event()
        self._stopping = False
        self._pruned_at = 0.0
        self._after = 0

    def wake(self) -> None:
        """There is something new to send."""
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        backoff_seconds = 0.0
        while not self._stopping:
            try:
                sent = self._send_round()
                if backoff_seconds:
                    logger.info("the broker answers again")
                backoff_seconds = 0.0
            except Exception as error:  # whatever the broker's library raises: the batch stays and is tried again
                sent = 0
                if not backoff_seconds:
                    logger.warning(
                        "the broker does not take batches, they wait in the outbox: %s", error or type(error).__name__
                    )
                backoff_seconds = min(max(2 * backoff_seconds, 1.0), _MAX_BACKOFF_SECONDS)
            self._prune()
            if not sent:
                self._wake.wait(backoff_seconds or _IDLE_SECONDS)
                # While the broker is away a new batch is no reason to hurry.
                self._wake.clear()

    def _send_round(self) -> int:
        sent, self._after = send_round(self._outbox, self._publish, after=self._after)
        return sent

    def _prune(self) -> None:
        now = time.time()
        if abs(now - self._pruned_at) < _PRUNE_EVERY_SECONDS:
            return
        self._pruned_at = now
        try:
            self._outbox.prune(now=now, keep_seconds=self._keep_seconds)
        except sqlite3.Error as error:
            logger.error("sent batches could not be removed from the outbox: %s", error)


def send_round(outbox: Outbox, publish: Publish, *, after: int = 0) -> tuple[int, int]:
    """Send the oldest few batches numbered above ``after``; return how many went and from where to go on. Raises what ``publish`` raises.

    Nothing goes while another process is sending. Where the outbox cannot be written (a full disk), what was sent cannot be marked: the
    next round goes on behind it, and it is sent once more later, which the collector absorbs.
    """
    with outbox.sending() as mine:
        if not mine:
            return 0, after
        sent: list[int] = []
        try:
            for batch in outbox.unsent(limit=_BATCHES_PER_ROUND, after=after):
                publish(batch.message)
                sent.append(batch.number)
        finally:
            marked = not sent or _mark(outbox, sent)
    return len(sent), 0 if marked else sent[-1]


def _mark(outbox: Outbox, sent: list[int]) -> bool:
    try:
        outbox.mark_sent(sent, now=time.time())
    except sqlite3.Error as error:
        logger.error("%d batches were sent but could not be marked so, they will be sent again: %s", len(sent), error)
        return False
    return True
