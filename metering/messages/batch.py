"""A batch as it is signed and carried: header, signature, body in one string of bytes.

``"CELO" ‖ version byte ‖ uint32 header length ‖ header (JSON) ‖ 64 bytes Ed25519 signature ‖ body (zstd)``. The signature covers the
header's bytes; the header holds the SHA-256 of the compressed body, so together they bind every byte.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, NamedTuple
from uuid import UUID

import msgspec

from .body import MAX_BODY_BYTES, MAX_SAMPLES, Body, Origin, compress_body, decompress_body, encode_body, refuse_nul
from .errors import BatchTooLarge, Malformed, TamperedBody, UnsupportedVersion
from .identity import derive_batch_id
from .keys import PrivateKey
from .samples import Sample

__all__ = ["Header", "Link", "SealedBatch", "open_body", "parse_batch", "seal_batch"]

VERSION = 1
_MAGIC = b"CELO" + bytes([VERSION])
_LENGTH = struct.Struct(">I")
_SIGNATURE_BYTES = 64
_MAX_HEADER_BYTES = 16 * 1024
_PREFIX_BYTES = len(_MAGIC) + _LENGTH.size

ShortText = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
HexDigest = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Microseconds = Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is signed. Times are µs UTC; digests are lower-case hex.

    ``id`` follows from agent, source, due and unit (see ``identity``); ``stream``, ``sequence`` and ``previous`` (the digest of the
    stream's previous header, empty for the first) form the chain that shows missing, repeated or reordered batches.
    """

    version: int
    kind: str
    id: UUID
    agent: ShortText
    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
    source: ShortText
    unit: Annotated[str, msgspec.Meta(max_length=255)]
    due: Microseconds
    made: Microseconds
    stream: UUID
    sequence: Annotated[int, msgspec.Meta(ge=1, le=2**62)]
    previous: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{64})?\Z")]
    labels: dict[str, str]
    count: Annotated[int, msgspec.Meta(ge=0, le=MAX_SAMPLES)]
    root: HexDigest
    body_sha256: HexDigest
    body_bytes: Annotated[int, msgspec.Meta(ge=0, le=MAX_BODY_BYTES)]
    poster: str | None = None

    def derived_id(self) -> UUID:
        """The id that this header must have."""
        return derive_batch_id(agent=self.agent, source=self.source, due=self.due, unit=self.unit)


_encode_header = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(Header).decode


class Link(NamedTuple):
    """Where a batch stands in its stream: the next sequence number and the digest of the header before it."""

    stream: UUID
    sequence: int
    previous: str


class SealedBatch(NamedTuple):
    """A batch taken apart but not yet believed. ``header`` is what ``header_bytes`` say; ``body`` is still compressed."""

    header: Header
    header_bytes: bytes
    signature: bytes
    body: bytes

    @property
    def header_digest(self) -> str:
        """What the next batch of the stream names as its previous one."""
        return sha256(self.header_bytes).hexdigest()

    def to_bytes(self) -> bytes:
        return _MAGIC + _LENGTH.pack(len(self.header_bytes)) + self.header_bytes + self.signature + self.body


def seal_batch(
    samples: Sequence[Sample],
    *,
    key: PrivateKey,
    agent: str,
    source: str,
    due: int,
    made: int,
    link: Link,
    unit: str = "",
    labels: dict[str, str] | None = None,
    origins: Sequence[Origin] = (),
    poster: str | None = None,
) -> SealedBatch:
    """Encode, compress and sign samples as one batch. Raises BatchTooLarge above MAX_SAMPLES or MAX_BODY_BYTES."""
    plain = encode_body(samples, origins=origins)
    if len(samples) > MAX_SAMPLES or len(plain) > MAX_BODY_BYTES:
        raise BatchTooLarge(f"batch of {len(samples)} samples, {len(plain)} bytes: split it")
    body = compress_body(plain)
    header = Header(
        version=VERSION,
        kind="samples",
        id=derive_batch_id(agent=agent, source=source, due=due, unit=unit),
        agent=agent,
        key=key.public.id,
        source=source,
        unit=unit,
        due=due,
        made=made,
        stream=link.stream,
        sequence=link.sequence,
        previous=link.previous,
        labels=labels or {},
        count=len(samples),
        root=Body.decode(plain).merkle_root().hex(),
        body_sha256=sha256(body).hexdigest(),
        body_bytes=len(plain),
        poster=poster,
    )
    header_bytes = _encode_header(header)
    return SealedBatch(header, header_bytes, key.sign(header_bytes), body)


def parse_batch(data: bytes) -> SealedBatch:
    """Take the bytes of a message apart and read its header. Nothing is verified yet. Raises Malformed or UnsupportedVersion."""
    if data[:4] != _MAGIC[:4]:
        raise Malformed(f"message starts with {data[:4]!r}: expected {_MAGIC[:4]!r}")
    if data[: len(_MAGIC)] != _MAGIC:
        raise UnsupportedVersion(f"message format {data[4:5].hex() or 'missing'}: expected {VERSION:02x}")
    if len(data) < _PREFIX_BYTES:
        raise Malformed(f"message of {len(data)} bytes ends inside its prefix")
    (header_length,) = _LENGTH.unpack_from(data, len(_MAGIC))
    header_end = _PREFIX_BYTES + header_length
    if header_length > _MAX_HEADER_BYTES or len(data) < header_end + _SIGNATURE_BYTES:
        raise Malformed(f"message of {len(data)} bytes cannot hold a header of {header_length} bytes and a signature")
    header_bytes = data[_PREFIX_BYTES:header_end]
    refuse_nul(header_bytes, where="header")
    try:
        header = _decode_header(header_bytes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"header: {error}") from error
    if header.version != VERSION or header.kind != "samples":
        raise UnsupportedVersion(
            f"version {header.version}, kind {header.kind!r}: expected version {VERSION}, kind 'samples'"
        )
    body_start = header_end + _SIGNATURE_BYTES
    return SealedBatch(header, header_bytes, data[header_end:body_start], data[body_start:])


def open_body(batch: SealedBatch) -> Body:
    """Return the body that the header describes, byte for byte. The signature must have been verified before.

    Raises TamperedBody when digest, size, count or Merkle root differ, Malformed when the body breaks its form or the id is not
    the derived one.
    """
    header = batch.header
    if sha256(batch.body).hexdigest() != header.body_sha256:
        raise TamperedBody("body is not the one whose SHA-256 the header states")
    body = Body.decode(decompress_body(batch.body, size=header.body_bytes))
    if len(body.rows) != header.count:
        raise TamperedBody(f"body holds {len(body.rows)} samples: its header states {header.count}")
    if body.merkle_root().hex() != header.root:
        raise TamperedBody("samples do not have the Merkle root that the header states")
    if header.id != header.derived_id():
        raise Malformed(
            f"batch id {header.id}: expected {header.derived_id()}, which follows from agent, source, due and unit"
        )
    return body
