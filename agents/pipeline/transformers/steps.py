"""What transformers do that look from one sample of a meter to its next."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, ClassVar

from agents.contract import Report, Sample
from agents.pipeline.exact import CalculationFailed, calculate

from .conversion import Conversion
from .limits import forget_oldest

__all__ = ["Steps"]


class Steps(ABC):
    """The first sample gives nothing, nor does one that is older than the last, which stays the last. A kind says what a step comes to.

    ``name`` and ``noun`` are what reports call it.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    keeps_state = True

    def __init__(self, conversion: Conversion) -> None:
        self._conversion = conversion

    @abstractmethod
    def step(self, sample: Sample, timestamp: int, volume: str) -> Decimal:
        """The volume that a sample gives after one of that time and volume; runs inside ``calculate``."""

    def counts(self, sample: Sample, volume: str) -> bool:
        """Whether a sample after one of that volume gives anything."""
        return True

    def transform(self, state: Any, samples: Sequence[Sample], report: Report) -> tuple[Any, list[Sample]]:
        """State: ``[timestamp, volume]`` of the last sample by meter name."""
        last = {} if state is None else state
        made = []
        for sample in samples:
            if not self._conversion.concerns(sample):
                made.append(sample)
                continue
            name = sample.meter.name
            before = last.get(name)
            if before is not None and sample.timestamp < before[0]:
                continue
            last[name] = [sample.timestamp, sample.volume]
            if before is None or not self.counts(sample, before[1]):
                continue
            try:
                volume = calculate(lambda sample=sample, before=before: self.step(sample, *before))
            except CalculationFailed as error:
                report(self.name, f"no {self.noun} of {name} of {sample.resource.id!r:.80}: {error}")
                continue
            made.append(Sample(self._conversion.meter(sample.meter), sample.resource, sample.timestamp, volume))
        forget_oldest(last)
        return last or None, made

    def due(self, state: Any) -> None:
        return None

    def flush(self, state: Any, now: int, report: Report) -> tuple[Any, list[Sample]]:
        return state, []
