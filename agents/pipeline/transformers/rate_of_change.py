"""rate_of_change: by how much a meter changed per second since the sample before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from agents.contract import Report, Sample
from agents.pipeline.exact import CalculationFailed, calculate

from .conversion import Conversion
from .limits import forget_oldest
from .parameters import Parameters

__all__ = ["RateOfChange"]


class RateOfChange:
    """Parameters ``source`` and ``target``, see ``Conversion``. A rate is a gauge unless ``target.type`` says otherwise.

    The first sample gives nothing, nor does one that is older than the last (which stays the last). Samples of one time give 0. A
    cumulative meter that fell began anew: it grew by its whole value. A ``scale`` that is a text multiplies the rate; one that is a
    number multiplies it by the number **and the sample's volume**, as it always did in Ceilometer.
    """

    keeps_state = True

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Raises BadParameters."""
        read = Parameters(parameters)
        self._conversion = Conversion(read, type="gauge")
        read.finish()

    def transform(self, state: Any, samples: Sequence[Sample], report: Report) -> tuple[Any, list[Sample]]:
        """State: ``[timestamp, volume]`` of the last sample by meter name."""
        last = {} if state is None else state
        rates = []
        for sample in samples:
            if not self._conversion.concerns(sample):
                rates.append(sample)
                continue
            name = sample.meter.name
            before = last.get(name)
            if before is not None and sample.timestamp < before[0]:
                continue
            last[name] = [sample.timestamp, sample.volume]
            if before is None:
                continue
            try:
                volume = calculate(lambda sample=sample, before=before: self._rate(sample, *before))
            except CalculationFailed as error:
                report("rate_of_change", f"no rate of {name} of {sample.resource.id!r:.80}: {error}")
                continue
            rates.append(Sample(self._conversion.meter(sample.meter), sample.resource, sample.timestamp, volume))
        forget_oldest(last)
        return last or None, rates

    def _rate(self, sample: Sample, timestamp: int, volume: str) -> Decimal:
        now, before = Decimal(sample.volume), Decimal(volume)
        change = now if now < before and sample.meter.type == "cumulative" else now - before
        microseconds = sample.timestamp - timestamp
        if microseconds == 0:
            return self._conversion.bounded(Decimal(0))
        scale = Decimal(1) if self._conversion.scale is None else self._conversion.scaled(sample)
        return self._conversion.bounded(scale * change * 1_000_000 / microseconds)

    def due(self, state: Any) -> None:
        return None

    def flush(self, state: Any, now: int, report: Report) -> tuple[Any, list[Sample]]:
        return state, []
