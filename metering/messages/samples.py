"""What one measurement is, in the words that all parts share."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import msgspec

__all__ = ["Meter", "MeterType", "Resource", "Sample"]

MeterType = Literal["gauge", "delta", "cumulative"]


class Meter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is measured: a name that keeps one type and one unit for ever."""

    name: str
    type: MeterType
    unit: str


class Resource(msgspec.Struct, forbid_unknown_fields=True):
    """What it is measured on, whose it is, and how it was described at that time.

    ``metadata`` is any JSON object; ``project`` and ``user`` are None where the thing belongs to nobody (a host).
    """

    id: str
    source: str
    project: str | None = None
    user: str | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class Sample(NamedTuple):
    """One measurement: ``timestamp`` in µs since 1970 UTC, ``volume`` as text (see ``volume_text``)."""

    meter: Meter
    resource: Resource
    timestamp: int
    volume: str
