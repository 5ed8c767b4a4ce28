"""What one measurement is, in the words that all parts share."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple

import msgspec

__all__ = ["Meter", "MeterType", "Resource", "Sample"]

MeterType = Literal["gauge", "delta", "cumulative"]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]


class Meter(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is measured: a name that keeps one type and one unit for ever.

    The lengths are checked where a message is decoded, not here.
    """

    name: Name
    type: MeterType
    unit: Annotated[str, msgspec.Meta(max_length=255)]


class Resource(msgspec.Struct, forbid_unknown_fields=True):
    """What it is measured on, whose it is, and how it was described at that time.

    ``metadata`` is any JSON object; ``project`` and ``user`` are None where the thing belongs to nobody (a host).
    """

    id: Name
    source: Name
    project: Name | None = None
    user: Name | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)


class Sample(NamedTuple):
    """One measurement: ``timestamp`` in µs since 1970 UTC, ``volume`` as text (see ``volume_text``)."""

    meter: Meter
    resource: Resource
    timestamp: int
    volume: str
