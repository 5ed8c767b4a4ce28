"""delta: by how much a meter changed since the sample before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from agents.contract import Report, Sample
from agents.pipeline.exact import CalculationFailed, calculate

from .conversion import Conversion
from .limits import forget_oldest
from .parameters import Parameters

__all__ = ["Delta"]


class Delta:
    """Parameters ``target`` (names and units only) and ``growth_only`` (false).

    The first sample gives nothing, nor does one that is older than the last (which stays the last). A fall gives a negative delta, with
    ``growth_only`` nothing; the next delta is counted from the lower value.
    """

    keeps_state = True

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Raises BadParameters."""
        read = Parameters(parameters)
        self._conversion = Conversion(read, types=("delta",), type="delta", scales=False)
        self._growth_only = read.flag("growth_only")
        read.finish()

    def transform(self, state: Any, samples: Sequence[Sample], report: Report) -> tuple[Any, list[Sample]]:
        """State: ``[timestamp, volume]`` of the last sample by meter name."""
        last = {} if state is None else state
        deltas = []
        for sample in samples:
            if not self._conversion.concerns(sample):
                deltas.append(sample)
                continue
            name = sample.meter.name
            before = last.get(name)
            if before is not None and sample.timestamp < before[0]:
                continue
            last[name] = [sample.timestamp, sample.volume]
            if before is None or (self._growth_only and Decimal(sample.volume) < Decimal(before[1])):
                continue
            try:
                volume = calculate(lambda sample=sample, before=before: Decimal(sample.volume) - Decimal(before[1]))
            except CalculationFailed as error:
                report("delta", f"no delta of {name} of {sample.resource.id!r:.80}: {error}")
                continue
            deltas.append(Sample(self._conversion.meter(sample.meter), sample.resource, sample.timestamp, volume))
        forget_oldest(last)
        return last or None, deltas

    def due(self, state: Any) -> None:
        return None

    def flush(self, state: Any, now: int, report: Report) -> tuple[Any, list[Sample]]:
        return state, []
