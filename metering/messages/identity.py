"""Identity is derived, not drawn: the same work done twice makes the same batch.

A batch id has the layout of a UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds (when the work was due), the version, then bits of
SHA-256 over who did it, for which source, due when, and which unit of the work. The low 20 bits are zero: a sample's
public UUID is its batch's id with the sample's position in them.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from uuid import UUID

__all__ = [
    "MAX_POSITION",
    "POSITION_BITS",
    "batch_id_at",
    "batch_of",
    "derive_batch_id",
    "due_of",
    "position_of",
    "sample_id",
]

POSITION_BITS = 20
MAX_POSITION = (1 << POSITION_BITS) - 1
_MAX_MILLISECONDS = (1 << 48) - 1


def derive_batch_id(*, agent: str, source: str, due: int, unit: str) -> UUID:
    """The id of the batch that ``agent`` makes of ``source`` for ``due`` (µs UTC); ``unit`` tells parts of one due apart."""
    digest = sha256()
    for part in (agent.encode(), source.encode(), struct.pack(">q", due), unit.encode()):
        digest.update(struct.pack(">I", len(part)) + part)
    drawn = int.from_bytes(digest.digest()[:16], "big")
    return _layout(due // 1000, drawn)


def batch_id_at(microseconds: int) -> UUID:
    """The smallest id that a batch due at that time or later can have: a bound for ranges and partitions."""
    return UUID(int=(min(max(microseconds // 1000, 0), _MAX_MILLISECONDS)) << 80)


def due_of(batch_id: UUID) -> int:
    """When a batch was due, in µs UTC, to the millisecond."""
    return (batch_id.int >> 80) * 1000


def _layout(milliseconds: int, drawn: int) -> UUID:
    if not 0 <= milliseconds <= _MAX_MILLISECONDS:
        raise ValueError(f"due time {milliseconds} ms: expected a time between 1970 and 10889")
    value = milliseconds << 80
    value |= 0x7 << 76
    value |= (drawn >> 64 & 0xFFF) << 64
    value |= 0b10 << 62
    value |= (drawn & ((1 << 62) - 1)) & ~MAX_POSITION
    return UUID(int=value)


def sample_id(batch_id: UUID, position: int) -> UUID:
    """The public UUID of one sample."""
    if not 0 <= position <= MAX_POSITION:
        raise ValueError(f"position {position}: expected 0 to {MAX_POSITION}")
    return UUID(int=batch_id.int | position)


def batch_of(sample: UUID) -> UUID:
    """The id of the batch that a sample came in."""
    return UUID(int=sample.int & ~MAX_POSITION)


def position_of(sample: UUID) -> int:
    """The position of a sample in its batch."""
    return sample.int & MAX_POSITION
