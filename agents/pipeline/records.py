"""What came out of a chain, as it is kept: small, because a record lies in memory for a day.

A measured sample is its position in the unit; a derived one is told by its meter, time and volume, and by the sample of the unit that it
has its resource from. So a record is read beside the unit that it was made of.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

from backports import zstd

from metering.messages import Meter, Sample

from .chain import DERIVED, Made, Output
from .packing import pack, pack_sample, unpack, unpack_sample

__all__ = ["OtherUnit", "pack_output", "unpack_output"]

_ZSTD_LEVEL = 1
_WORTH_COMPRESSING = 1_000


class OtherUnit(Exception):
    """The record was made of other samples than these."""


def pack_output(output: Output, samples: Sequence[Sample]) -> bytes:
    """``samples`` are the unit's, none where the output comes of a flush."""
    positions = {id(sample.resource): position for position, sample in enumerate(samples)}
    collector = [_entry(made, positions) for made in output.collector]
    outgoing = [_entry(made, positions) for made in output.outgoing]
    packed = pack([_digest(samples), collector, None if outgoing == collector else outgoing])
    return packed if len(packed) < _WORTH_COMPRESSING else zstd.compress(packed, _ZSTD_LEVEL)


def unpack_output(data: bytes, samples: Sequence[Sample]) -> Output:
    """Raises OtherUnit."""
    digest, collector, outgoing = unpack(data if data.startswith(b"[") else zstd.decompress(data))
    if digest != _digest(samples):
        raise OtherUnit
    found = [_made(entry, samples) for entry in collector]
    return Output(found, found if outgoing is None else [_made(entry, samples) for entry in outgoing])


def _entry(made: Made, positions: dict[int, int]) -> Any:
    sample, position = made
    if position != DERIVED:
        return position
    entry = pack_sample(sample)
    if id(sample.resource) in positions:
        entry[1] = positions[id(sample.resource)]
    return entry


def _made(entry: Any, samples: Sequence[Sample]) -> Made:
    if isinstance(entry, int):
        return Made(samples[entry], entry)
    if isinstance(entry[1], int):
        meter, position, timestamp, volume = entry
        return Made(Sample(Meter(*meter), samples[position].resource, timestamp, volume), DERIVED)
    return Made(unpack_sample(entry), DERIVED)


def _digest(samples: Sequence[Sample]) -> str:
    digest = blake2b(digest_size=8)
    for meter, resource, timestamp, volume in samples:
        digest.update(f"{meter.name}\0{resource.id}\0{timestamp}\0{volume}\0".encode())
    return digest.hexdigest()
