"""Polls when a tick comes, and by its own timer when none does: a node goes on measuring while the broker is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from .contract import Problem
from .outbox import Outbox, OutboxFull
from .polling import Polled, Source, due_at

__all__ = ["Poller", "grace_seconds", "keep_samples"]

logger = logging.getLogger(__name__)

# One batch holds at most this many samples, so that a collector's task stays short.
_SAMPLES_PER_BATCH = 10_000


def grace_seconds(interval_seconds: int) -> float:
    """How long after its due time a tick may come before the node polls without it: a tenth of the interval, at most 5 s."""
    return min(interval_seconds / 10, 5.0)


def _is_due_now(due: object, interval_seconds: int) -> bool:
    """Whether it lies on the grid, at most one interval away from now (a scheduler's clock is not this node's)."""
    interval = interval_seconds * 1_000_000
    now = time.time_ns() // 1000
    return isinstance(due, int) and due % interval == 0 and now - 2 * interval < due <= now + interval


class Poller(threading.Thread):
    """The one thread that measures (libvirt's connections stay in it). Each due time of a source is polled at most once."""

    def __init__(
        self,
        sources: Sequence[Source],
        *,
        poll: Callable[[Source], Polled],
        outbox: Outbox,
        labels: dict[str, str],
        on_batch: Callable[[], None],
    ) -> None:
        super().__init__(name="poller", daemon=True)
        self._sources = {source.name: source for source in sources}
        self._poll = poll
        self._outbox = outbox
        self._labels = labels
        self._on_batch = on_batch
        self._done = {name: outbox.last_due(name) or 0 for name in self._sources}
        self._ticks: dict[str, int] = {}
        self._problems: dict[str, set[Problem]] = {}
        self._changed = threading.Condition()
        self._stopping = False

    def tick(self, source_name: str, due: int) -> None:
        """A scheduler says that ``source_name`` is due. A second tick for the same due, or an older one, changes nothing.

        Anybody with a login on the broker can send ticks: one that is not due about now would silence the node or rush it.
        """
        source = self._sources.get(source_name)
        if source is None:
            logger.warning("tick for source %.100r, which this node's polling.yaml does not have", source_name)
            return
        if not _is_due_now(due, source.interval_seconds):
            logger.warning("tick for %s, due %.100r, is not due now: ignored", source_name, due)
            return
        with self._changed:
            self._ticks[source_name] = max(due, self._ticks.get(source_name, 0))
            self._changed.notify()

    def stop(self) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify()

    def run(self) -> None:
        # The first poll of a start does not wait for the grid's next point.
        starting = True
        while not self._stopping:
            now = time.time()
            for source in self._sources.values():
                due = self._due(source, now, without_grace=starting)
                if due:
                    self._measure(source, due)
            starting = False
            with self._changed:
                if not self._stopping and not self._pending_tick():
                    self._changed.wait(self._pause_seconds(time.time()))

    def _pending_tick(self) -> bool:
        return any(due > self._done[name] for name, due in self._ticks.items())

    def _due(self, source: Source, now: float, *, without_grace: bool) -> int:
        """The due time to poll for now, 0 for none."""
        self._forget_future(source, now)
        with self._changed:
            ticked = self._ticks.pop(source.name, 0)
        if ticked > self._done[source.name]:
            return ticked
        grace = 0.0 if without_grace else grace_seconds(source.interval_seconds)
        due = due_at(now - grace, interval_seconds=source.interval_seconds)
        if due <= self._done[source.name]:
            return 0
        if not without_grace:
            logger.info("no tick for %s, due %s: polling by the node's own timer", source.name, due)
        return due

    def _forget_future(self, source: Source, now: float) -> None:
        """A due time that was done while the clock was ahead must not silence the node until real time gets there."""
        current = due_at(now, interval_seconds=source.interval_seconds)
        if self._done[source.name] > current + source.interval_seconds * 1_000_000:
            logger.warning(
                "%s was polled for a time in the future: the clock was ahead; polling goes on by it as it is now",
                source.name,
            )
            self._done[source.name] = 0

    def _pause_seconds(self, now: float) -> float:
        """Until the next due time plus grace of any source."""
        pauses = []
        for source in self._sources.values():
            grace = grace_seconds(source.interval_seconds)
            passed = (now - grace) % source.interval_seconds
            pauses.append(source.interval_seconds - passed)
        return min(pauses) + 0.01

    def _measure(self, source: Source, due: int) -> None:
        # Whatever comes of it, this due is done: a poll that failed is a gap, not a loop.
        self._done[source.name] = due
        started = time.monotonic()
        try:
            polled = self._poll(source)
            self._log_problems(source, polled)
            batches = keep_samples(self._outbox, polled, source=source, due=due, labels=self._labels)
        except OutboxFull as error:
            logger.error("not measuring %s: %s", source.name, error)
            return
        except Exception:  # a full disk, a fault of ours: this poll is a gap, the next may succeed
            logger.exception("polling %s failed: a gap", source.name)
            return
        elapsed = time.monotonic() - started
        logger.info("polled %s: %d samples in %d batches, %.2f s", source.name, len(polled.samples), batches, elapsed)
        self._on_batch()

    def _log_problems(self, source: Source, polled: Polled) -> None:
        """Say what began and what ended: a libvirt that is away for a night is two lines, not one every poll."""
        before, now = self._problems.get(source.name, set()), set(polled.problems)
        for problem in polled.problems:
            if problem not in before:
                logger.warning("polling %s: %s: %s", source.name, problem.where, problem.what)
        for problem in before - now:
            logger.info("polling %s: %s is over: %s", source.name, problem.where, problem.what)
        self._problems[source.name] = now


def keep_samples(outbox: Outbox, polled: Polled, *, source: Source, due: int, labels: dict[str, str]) -> int:
    """Put what a poll gave into the outbox, in batches of bounded size; return how many. Raises OutboxFull."""
    parts = [
        polled.samples[first : first + _SAMPLES_PER_BATCH]
        for first in range(0, len(polled.samples), _SAMPLES_PER_BATCH)
    ]
    return outbox.add(parts, source=source.name, due=due, labels=labels) if parts else 0
