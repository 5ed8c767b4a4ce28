"""What most transformers have in common: the parameters ``source`` and ``target``, which say how a derived sample is called and scaled."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import cast

from agents.contract import Meter, Sample
from agents.pipeline.expressions import BadExpression, Expression, compile_expression
from metering.messages import MeterType

from .parameters import Parameters

__all__ = ["Conversion"]

_MOST_METERS = 10_000


class Conversion:
    """``source.{unit, map_from.name, map_from.unit}``, ``target.{name, unit, type, scale, max, map_to.name, map_to.unit}``.

    A name (a unit) is made by ``map_from`` and ``map_to`` where both are given, else it is ``target``'s, else it stays. A ``scale`` that is
    a number multiplies the volume, one that is a text is an expression; 0 is none. ``max`` bounds the volume above. Samples of another unit
    than ``source.unit`` go through unchanged.
    """

    def __init__(
        self,
        read: Parameters,
        *,
        types: Sequence[str] = ("gauge", "delta", "cumulative"),
        type: MeterType | None = None,
        scales: bool = True,
        maps: bool = True,
    ) -> None:
        """``type`` is what a derived sample is where the target names none of ``types``.

        Without ``scales``, ``scale`` and ``max`` are not known; without ``maps``, neither is ``source`` nor ``map_to``.
        """
        self._source_unit = read.text("source", "unit") if maps else None
        self._name = _Naming(read, "name", maps=maps)
        self._unit = _Naming(read, "unit", maps=maps)
        chosen = read.choice("target", "type", options=types)
        self._type = cast(MeterType | None, chosen) or type
        self.scale = _read_scale(read) if scales else None
        self._max = read.number("target", "max") if scales else None
        self._meters: dict[Meter, Meter] = {}

    def concerns(self, sample: Sample) -> bool:
        """Whether it is of ``source.unit``; samples of other units go through unchanged."""
        return self._source_unit is None or self._source_unit == sample.meter.unit

    def meter(self, meter: Meter) -> Meter:
        """What the derived meter is."""
        found = self._meters.get(meter)
        if found is None:
            if len(self._meters) >= _MOST_METERS:
                self._meters.clear()
            made = Meter(self._name.apply(meter.name), self._type or meter.type, self._unit.apply(meter.unit))
            found = self._meters[meter] = made
        return found

    def scaled(self, sample: Sample) -> Decimal:
        """The sample's volume as ``scale`` makes it; to be called within ``calculate``."""
        if isinstance(self.scale, Expression):
            return self.scale.evaluate({"": sample})
        volume = Decimal(sample.volume)
        return volume if self.scale is None else volume * self.scale

    def bounded(self, volume: Decimal) -> Decimal:
        return volume if self._max is None else min(volume, self._max)


def _read_scale(read: Parameters) -> Decimal | Expression | None:
    if not isinstance(read.value("target", "scale"), str):
        return read.number("target", "scale") or None
    text = read.text("target", "scale")
    try:
        return compile_expression(text, of_meters=False) if text else None
    except BadExpression as error:
        read.refuse(("target", "scale"), f"{text!r:.120}: {error}")
        return None


class _Naming:
    """How the name, or the unit, of a derived meter is made."""

    def __init__(self, read: Parameters, attribute: str, *, maps: bool) -> None:
        self._plain = read.name("target", attribute)
        self._pattern, self._template = None, None
        if maps:
            self._read_map(read, attribute)

    def _read_map(self, read: Parameters, attribute: str) -> None:
        self._pattern = read.pattern("source", "map_from", attribute)
        self._template = read.text("target", "map_to", attribute)
        if (self._pattern is None) != (self._template is None):
            given, missing = ("target.map_to", "source.map_from")[:: 1 if self._template else -1]
            read.refuse(
                tuple(given.split(".")), f"has a {attribute} but {missing} has none (or a bad one): it needs both"
            )
        elif self._pattern is not None and self._template is not None:
            try:
                self._pattern.sub(self._template, "")
            except (re.error, IndexError) as error:
                read.refuse(("target", "map_to", attribute), f"{self._template!r:.80}: {error}")

    def apply(self, text: str) -> str:
        if self._pattern is not None and self._template is not None:
            return self._pattern.sub(self._template, text)
        return text if self._plain is None else self._plain
