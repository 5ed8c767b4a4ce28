"""delta: by how much a meter changed since the sample before."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from agents.contract import Sample

from .conversion import Conversion
from .parameters import Parameters
from .steps import Steps

__all__ = ["Delta"]


class Delta(Steps):
    """Parameters ``target`` (names and units only) and ``growth_only`` (false).

    A fall gives a negative delta, with
    ``growth_only`` nothing; the next delta is counted from the lower value.
    """

    name = "delta"
    noun = "delta"

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Raises BadParameters."""
        read = Parameters(parameters)
        super().__init__(Conversion(read, types=("delta",), type="delta", scales=False))
        self._growth_only = read.flag("growth_only")
        read.finish()

    def counts(self, sample: Sample, volume: str) -> bool:
        return not self._growth_only or Decimal(sample.volume) >= Decimal(volume)

    def step(self, sample: Sample, timestamp: int, volume: str) -> Decimal:
        return Decimal(sample.volume) - Decimal(volume)
