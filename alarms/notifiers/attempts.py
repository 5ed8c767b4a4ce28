"""Making attempts, many at a time: a receiver that hangs holds up a place, not the others."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from .contract import Message, Outcome
from .registry import find_notifier, schemes

__all__ = ["TIMEOUT_SECONDS", "Attempts", "attempt"]

logger = logging.getLogger(__name__)

# From the first question to the resolver to the last byte of the answer.
TIMEOUT_SECONDS = 10.0
_AT_ONCE = 64


class Attempts:
    """Threads that make attempts and say what came of them."""

    def __init__(self, at_once: int = _AT_ONCE) -> None:
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="attempt")
        self._places = threading.BoundedSemaphore(at_once)

    def start(self, message: Message, tell: Callable[[Outcome], None]) -> None:
        """Begin an attempt, as soon as there is a place; ``tell`` is called in its thread when it is over."""
        self._places.acquire()

        def run() -> None:
            try:
                tell(attempt(message))
            except Exception:
                logger.exception("what came of an attempt could not be told")
            finally:
                self._places.release()

        self._threads.submit(run)

    def finish(self) -> None:
        """Wait for those that were begun."""
        self._threads.shutdown(wait=True)


def attempt(message: Message, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Outcome:
    """Tell it once, by the notifier of its scheme; whatever goes wrong is an outcome."""
    begun = time.monotonic()
    scheme = message.url.partition(":")[0].lower()
    try:
        notifier = find_notifier(scheme)
        if notifier:
            outcome = notifier.notify(message, timeout_seconds=timeout_seconds)
        else:
            outcome = Outcome(
                "impossible", f"not told: no notifier for {scheme!r:.50}, only for {', '.join(schemes())}"
            )
    except Exception as error:
        logger.exception("a notifier failed")
        outcome = Outcome("failed", f"the notifier failed: {type(error).__name__}")
    return outcome._replace(duration_ms=int((time.monotonic() - begun) * 1000))
