"""Sends what lies in the outbox, in order, to whatever ``publish`` leads to."""

from __future__ import annotations

import logging
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
                sent = send_round(self._outbox, self._publish)
                if backoff_seconds:
                    logger.info("the broker answers again")
                backoff_seconds = 0.0
                self._prune()
            except Exception as error:  # whatever the broker's library raises: the batch stays and is tried again
                sent = 0
                if not backoff_seconds:
                    logger.warning(
                        "the broker does not take batches, they wait in the outbox: %s", error or type(error).__name__
                    )
                backoff_seconds = min(max(2 * backoff_seconds, 1.0), _MAX_BACKOFF_SECONDS)
            if not sent:
                self._wake.wait(backoff_seconds or _IDLE_SECONDS)
                # While the broker is away a new batch is no reason to hurry.
                self._wake.clear()

    def _prune(self) -> None:
        now = time.time()
        if now - self._pruned_at > _PRUNE_EVERY_SECONDS:
            self._outbox.prune(sent_before=now - self._keep_seconds)
            self._pruned_at = now


def send_round(outbox: Outbox, publish: Publish) -> int:
    """Send the oldest few batches; return how many went, 0 also when another process is sending. Raises what ``publish`` raises."""
    with outbox.sending() as mine:
        if not mine:
            return 0
        sent: list[int] = []
        try:
            for batch in outbox.unsent(limit=_BATCHES_PER_ROUND):
                publish(batch.message)
                sent.append(batch.sequence)
        finally:
            if sent:
                outbox.mark_sent(sent, now=time.time())
    return len(sent)
