"""A batch as it is signed and carried: header, signature, body in one string of bytes.

``"CELO" ‖ version byte ‖ uint32 header length ‖ header (JSON) ‖ 64 bytes Ed25519 signature ‖ body (zstd)``. The signature covers the
header's bytes; the header holds the SHA-256 of the compressed body, so together they bind every byte.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated, Literal, NamedTuple
from uuid import UUID

import msgspec

from .body import MAX_BODY_BYTES, MAX_SAMPLES, Body, Origin, compress_body, decompress_body, encode_body, refuse_nul
from .errors import BatchTooLarge, Malformed, TamperedBody, UnsupportedVersion
from .event_body import EventBody, encode_event_body
from .events import Event
from .identity import derive_batch_id
from .keys import PrivateKey
from .samples import Sample

__all__ = [
    "Header",
    "Kind",
    "Link",
    "SealedBatch",
    "open_body",
    "parse_batch",
    "read_header",
    "seal_batch",
    "seal_events",
]

VERSION = 1
Kind = Literal["samples", "events"]
_KINDS: tuple[Kind, ...] = ("samples", "events")
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
    _check_size(len(samples), plain, kind="samples")
    work = _Work(agent, source, due, made, link, unit, labels or {}, poster)
    return _seal(plain, kind="samples", count=len(samples), root=Body.decode(plain).merkle_root(), key=key, work=work)


def seal_events(
    events: Sequence[Event],
    *,
    key: PrivateKey,
    agent: str,
    source: str,
    due: int,
    made: int,
    link: Link,
    unit: str = "",
    labels: dict[str, str] | None = None,
) -> SealedBatch:
    """The same of events, which bring their origin keys as their ids. Raises BatchTooLarge.

    Each must be one that ``event_problem`` finds nothing wrong with: a collector refuses the whole batch otherwise.
    """
    plain, root = encode_event_body(events)
    _check_size(len(events), plain, kind="events")
    work = _Work(agent, source, due, made, link, unit, labels or {}, None)
    return _seal(plain, kind="events", count=len(events), root=root, key=key, work=work)


class _Work(NamedTuple):
    """What the header says of who made the batch, of what and when."""

    agent: str
    source: str
    due: int
    made: int
    link: Link
    unit: str
    labels: dict[str, str]
    poster: str | None


def _check_size(count: int, plain: bytes, *, kind: Kind) -> None:
    if count > MAX_SAMPLES or len(plain) > MAX_BODY_BYTES:
        raise BatchTooLarge(f"batch of {count} {kind}, {len(plain)} bytes: split it")


def _seal(plain: bytes, *, kind: Kind, count: int, root: bytes, key: PrivateKey, work: _Work) -> SealedBatch:
    body = compress_body(plain)
    header = Header(
        version=VERSION,
        kind=kind,
        id=derive_batch_id(agent=work.agent, source=work.source, due=work.due, unit=work.unit),
        agent=work.agent,
        key=key.public.id,
        source=work.source,
        unit=work.unit,
        due=work.due,
        made=work.made,
        stream=work.link.stream,
        sequence=work.link.sequence,
        previous=work.link.previous,
        labels=work.labels,
        count=count,
        root=root.hex(),
        body_sha256=sha256(body).hexdigest(),
        body_bytes=len(plain),
        poster=work.poster,
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
    header = read_header(header_bytes)
    if header.version != VERSION or header.kind not in _KINDS:
        raise UnsupportedVersion(
            f"version {header.version}, kind {header.kind!r}: expected version {VERSION}, kind {' or '.join(map(repr, _KINDS))}"
        )
    body_start = header_end + _SIGNATURE_BYTES
    return SealedBatch(header, header_bytes, data[header_end:body_start], data[body_start:])


def read_header(header_bytes: bytes) -> Header:
    """A header from its bytes. Raises Malformed."""
    refuse_nul(header_bytes, where="header")
    try:
        return _decode_header(header_bytes)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"header: {error}") from error


def open_body(batch: SealedBatch) -> Body | EventBody:
    """Return the body that the header describes, byte for byte: an EventBody where its kind is ``events``.

    The signature must have been verified before. Raises TamperedBody when digest, size, count or Merkle root differ, Malformed when
    the body breaks its form or the id is not the derived one.
    """
    header = batch.header
    if sha256(batch.body).hexdigest() != header.body_sha256:
        raise TamperedBody("body is not the one whose SHA-256 the header states")
    plain = decompress_body(batch.body, size=header.body_bytes)
    body = EventBody.decode(plain) if header.kind == "events" else Body.decode(plain)
    if body.count != header.count:
        raise TamperedBody(f"body holds {body.count} {header.kind}: its header states {header.count}")
    if body.merkle_root().hex() != header.root:
        raise TamperedBody(f"{header.kind} do not have the Merkle root that the header states")
    if header.id != header.derived_id():
        raise Malformed(
            f"batch id {header.id}: expected {header.derived_id()}, which follows from agent, source, due and unit"
        )
    return body
