"""accumulator: holds a resource's samples back until there are ``size`` of them, then lets all go on as they were.

Upstream counts the samples of all resources together, so that nobody can say when one of them goes on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.contract import Report, Sample
from agents.pipeline.packing import pack_sample, unpack_sample

from .limits import LONGEST_HELD_MICROSECONDS, MOST_HELD
from .parameters import Parameters

__all__ = ["Accumulator"]


class Accumulator:
    """Parameter ``size`` (1): below 2 everything goes straight through. What never becomes ``size`` goes on after a week."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Raises BadParameters."""
        read = Parameters(parameters)
        self._size = read.whole("size", least=-MOST_HELD, most=MOST_HELD) or 1
        read.finish()
        self.keeps_state = self._size > 1

    def transform(self, state: Any, samples: Sequence[Sample], report: Report) -> tuple[Any, list[Sample]]:
        """State: the samples held, packed."""
        if not self.keeps_state:
            return None, list(samples)
        # Those of this call are kept as they are: what goes on at once goes on as the very same object.
        held: list[Any] = state or []
        released: list[Sample] = []
        for sample in samples:
            held.append(sample)
            if len(held) >= self._size:
                released += [entry if isinstance(entry, Sample) else unpack_sample(entry) for entry in held]
                held = []
        return [pack_sample(entry) if isinstance(entry, Sample) else entry for entry in held] or None, released

    def due(self, state: Any) -> int | None:
        return min(timestamp for _, _, timestamp, _ in state) + LONGEST_HELD_MICROSECONDS

    def flush(self, state: Any, now: int, report: Report) -> tuple[Any, list[Sample]]:
        return (None, list(map(unpack_sample, state))) if self.due(state) <= now else (state, [])
