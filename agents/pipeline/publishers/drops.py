"""What is dropped is counted one by one, and told when it begins and when it has ended: never a line for each."""

from __future__ import annotations

import logging
import time

__all__ = ["Drops"]

logger = logging.getLogger(__name__)


class Drops:
    """The drops of one publisher. Not locked: the publisher's own lock is held around each call."""

    def __init__(self, name: str, *, calm_seconds: float = 60.0) -> None:
        self.count = 0
        self._name = name
        self._calm_seconds = calm_seconds
        self._reason = ""
        self._last_at = 0.0
        self._counted_before = 0
        self._is_told = True
        self._goes_on = False

    def add(self, count: int, reason: str) -> None:
        """Count; the reason of the first of a run is the one told."""
        if not count:
            return
        if not self._goes_on:
            self._goes_on, self._is_told, self._reason, self._counted_before = True, False, reason, self.count
        self.count += count
        self._last_at = time.monotonic()

    def seconds_to_calm(self) -> float | None:
        """When ``tell`` will have something to say if nothing more is dropped; None when it has nothing."""
        if not self._goes_on:
            return None
        return max(0.0, self._last_at + self._calm_seconds - time.monotonic()) if self._is_told else 0.0

    def tell(self) -> None:
        """Say in the log that dropping began, or that nothing was dropped for a while."""
        if self._goes_on and not self._is_told:
            self._is_told = True
            logger.warning("publisher %s drops what it is given: %s", self._name, self._reason)
        elif self.seconds_to_calm() == 0:
            self._goes_on = False
            logger.warning("publisher %s drops nothing any more; %d were dropped", self._name, self._in_this_run())

    def tell_at_close(self) -> None:
        """The last word on what has not been told to the end."""
        if self._goes_on:
            self._goes_on = False
            logger.warning("publisher %s is closed; %d were dropped: %s", self._name, self._in_this_run(), self._reason)

    def _in_this_run(self) -> int:
        return self.count - self._counted_before
