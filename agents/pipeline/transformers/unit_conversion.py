"""unit_conversion: another unit, another name, the volume scaled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.contract import Report, Sample
from agents.pipeline.exact import CalculationFailed, calculate
from agents.pipeline.expressions import Expression

from .conversion import Conversion
from .parameters import Parameters

__all__ = ["UnitConversion"]


class UnitConversion:
    """Parameters ``source`` and ``target``, see ``Conversion``."""

    keeps_state = False

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Raises BadParameters."""
        read = Parameters(parameters)
        self._conversion = Conversion(read)
        scale = self._conversion.scale
        if isinstance(scale, Expression) and scale.is_constant:
            text = "would be the volume of every sample: expected a number, or an expression of volume, like 'volume / 1024'"
            read.refuse(("target", "scale"), text)
        read.finish()

    def transform(self, state: Any, samples: Sequence[Sample], report: Report) -> tuple[Any, list[Sample]]:
        converted = []
        for sample in samples:
            if not self._conversion.concerns(sample):
                converted.append(sample)
                continue
            try:
                volume = calculate(lambda sample=sample: self._conversion.bounded(self._conversion.scaled(sample)))
            except CalculationFailed as error:
                report("unit_conversion", f"no {sample.meter.name} of {sample.resource.id!r:.80}: {error}")
                continue
            converted.append(Sample(self._conversion.meter(sample.meter), sample.resource, sample.timestamp, volume))
        return None, converted

    def due(self, state: Any) -> None:
        return None

    def flush(self, state: Any, now: int, report: Report) -> tuple[Any, list[Sample]]:
        return state, []
