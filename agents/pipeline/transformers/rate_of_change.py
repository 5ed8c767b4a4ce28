"""rate_of_change: by how much a meter changed per second since the sample before."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agents.contract import Sample

from .conversion import Conversion
from .parameters import Parameters
from .steps import Steps

__all__ = ["RateOfChange"]


class RateOfChange(Steps):
    """Parameters ``source`` and ``target``, see ``Conversion``. A rate is a gauge unless ``target.type`` says otherwise.

    Samples of one time give 0. A
    cumulative meter that fell began anew: it grew by its whole value. A ``scale`` that is a text multiplies the rate; one that is a
    number multiplies it by the number **and the sample's volume**, as it always did in Ceilometer.
    """

    name = "rate_of_change"
    noun = "rate"

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Raises BadParameters."""
        read = Parameters(parameters)
        super().__init__(Conversion(read, type="gauge"))
        read.finish()

    def step(self, sample: Sample, timestamp: int, volume: str) -> Decimal:
        now, before = Decimal(sample.volume), Decimal(volume)
        change = now if now < before and sample.meter.type == "cumulative" else now - before
        microseconds = sample.timestamp - timestamp
        if microseconds == 0:
            return self._conversion.bounded(Decimal(0))
        scale = Decimal(1) if self._conversion.scale is None else self._conversion.scaled(sample)
        return self._conversion.bounded(scale * change * 1_000_000 / microseconds)
