"""Merkle tree hashing as in RFC 9162 §2.1: one root binds all samples, and a short proof shows one of them.

A sample's leaf has as its input SHA-256(meter bytes) ‖ SHA-256(resource bytes) ‖ int64 big-endian timestamp ‖ volume text, an event's
the event's bytes; bytes are those that stand in the body.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import sha256

__all__ = ["hash_bytes_leaf", "hash_leaf", "inclusion_proof", "root_of", "verify_inclusion"]

_pack_timestamp = struct.Struct(">q").pack


def hash_leaf(meter_digest: bytes, resource_digest: bytes, timestamp: int, volume: str) -> bytes:
    """The leaf of one sample; digests are the SHA-256 of the meter's and the resource's bytes."""
    return sha256(b"\x00" + meter_digest + resource_digest + _pack_timestamp(timestamp) + volume.encode()).digest()


def hash_bytes_leaf(entry: bytes) -> bytes:
    """The leaf of what stands in the body in one piece."""
    return sha256(b"\x00" + entry).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The tree head. Of no leaves it is SHA-256 of nothing, as the RFC says."""
    if not leaves:
        return sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        level = _parents(level)
    return level[0]


def _parents(level: Sequence[bytes]) -> list[bytes]:
    # Promoting a lone last node gives the RFC's tree, which splits at the largest power of two.
    parents = [sha256(b"\x01" + left + right).digest() for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) % 2:
        parents.append(level[-1])
    return parents


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of one leaf, lowest sibling first (RFC 9162 §2.1.3.1). Raises IndexError outside the tree."""
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of a tree with {len(leaves)} leaves")
    path: list[bytes] = []
    level = list(leaves)
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):
            path.append(level[sibling])
        level = _parents(level)
        index >>= 1
    return path


def verify_inclusion(leaf: bytes, *, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the proof shows that ``leaf`` is number ``index`` of the ``size`` leaves under ``root`` (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    node, last, remaining = leaf, size - 1, list(proof)
    while last:
        if not remaining and (index % 2 or index < last):
            return False
        if index % 2:
            node = sha256(b"\x01" + remaining.pop(0) + node).digest()
        elif index < last:
            node = sha256(b"\x01" + node + remaining.pop(0)).digest()
        index >>= 1
        last >>= 1
    return not remaining and node == root
