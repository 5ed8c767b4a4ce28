"""Samples as plain data, and plain data as bytes, for what is remembered. Numbers of metadata come back as they went, digit for digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from metering.messages import Meter, Resource, Sample

__all__ = ["pack", "pack_resource", "pack_sample", "unpack", "unpack_resource", "unpack_sample"]


def _number(text: str) -> float | Decimal:
    number = Decimal(text)
    return float(text) if Decimal(repr(float(text))) == number else number


pack = msgspec.json.Encoder(decimal_format="number").encode
unpack = msgspec.json.Decoder(float_hook=_number).decode


def pack_resource(resource: Resource) -> list[Any]:
    return [resource.id, resource.source, resource.project, resource.user, resource.metadata]


def unpack_resource(data: list[Any]) -> Resource:
    return Resource(*data)


def pack_sample(sample: Sample) -> list[Any]:
    """``[meter, resource, timestamp, volume]``."""
    meter, resource, timestamp, volume = sample
    return [[meter.name, meter.type, meter.unit], pack_resource(resource), timestamp, volume]


def unpack_sample(data: list[Any]) -> Sample:
    meter, resource, timestamp, volume = data
    return Sample(Meter(*meter), unpack_resource(resource), timestamp, volume)
