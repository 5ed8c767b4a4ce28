"""The body of a batch: each meter and each resource once, samples as small rows. JSON in UTF-8, then zstd.

``{"meters": [{…}], "resources": [{…}], "samples": [[meter index, resource index, µs, "volume"], …], "origins": [["key", n], …]}``.
``origins`` stands only in batches made from inputs: consecutive runs of samples, each made from the input with that key.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Annotated, NamedTuple

import msgspec
from backports import zstd

from .errors import Malformed, TamperedBody
from .merkle import hash_leaf, root_of
from .samples import Meter, Resource, Sample
from .volumes import VOLUME_MAX_LENGTH, VOLUME_PATTERN

__all__ = [
    "MAX_BODY_BYTES",
    "MAX_SAMPLES",
    "Body",
    "Origin",
    "Row",
    "compress_body",
    "decompress_body",
    "encode_body",
    "refuse_nul",
]

# What a collector can take in well within a broker's visibility timeout, on little memory.
MAX_SAMPLES = 50_000
MAX_BODY_BYTES = 16 * 1024 * 1024
MAX_ENTRY_BYTES = 64 * 1024
_ZSTD_LEVEL = 3

Index = Annotated[int, msgspec.Meta(ge=0)]
Microseconds = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
VolumeText = Annotated[str, msgspec.Meta(max_length=VOLUME_MAX_LENGTH, pattern=VOLUME_PATTERN.replace("$", r"\Z"))]
Row = tuple[Index, Index, Microseconds, VolumeText]


_nul_escape = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000").search


def refuse_nul(data: bytes, *, where: str) -> None:
    """Raise Malformed for JSON text that holds a NUL character: no text column of the store can keep it."""
    if b"\\u0000" in data and _nul_escape(data):
        raise Malformed(f"{where}: a text holds the character NUL")


class Origin(NamedTuple):
    """One input that samples were made from: its key and how many samples of the batch, in order, are its own."""

    key: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    sample_count: Annotated[int, msgspec.Meta(ge=1)]


class _RawBody(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    meters: list[msgspec.Raw]
    resources: list[msgspec.Raw]
    samples: list[Row]
    origins: list[Origin] = []


def _check_sizes(raw: _RawBody) -> None:
    """Bound what decoding makes of a small message: each entry, and no more entries than samples that can use them."""
    if len(raw.samples) > MAX_SAMPLES:
        raise Malformed(f"body: {len(raw.samples)} samples: expected at most {MAX_SAMPLES}")
    if max(len(raw.meters), len(raw.resources)) > len(raw.samples):
        raise Malformed(f"body: more meters or resources than its {len(raw.samples)} samples use")
    largest = max((len(memoryview(entry)) for entries in (raw.meters, raw.resources) for entry in entries), default=0)
    if largest > MAX_ENTRY_BYTES:
        raise Malformed(f"body: a meter or resource of {largest} bytes: expected at most {MAX_ENTRY_BYTES}")


_encoder = msgspec.json.Encoder(decimal_format="number")
_decode_raw_body = msgspec.json.Decoder(_RawBody).decode
_decode_meter = msgspec.json.Decoder(Meter).decode
_decode_resource = msgspec.json.Decoder(Resource).decode


class Body(msgspec.Struct):
    """A decoded body. ``meter_digests`` and ``resource_digests`` are SHA-256 over the bytes as they stand in it.

    ``times``: the distinct timestamps of its rows, ascending.
    """

    meters: list[Meter]
    resources: list[Resource]
    rows: list[Row]
    origins: list[Origin]
    meter_digests: list[bytes]
    resource_digests: list[bytes]
    times: list[int]

    @classmethod
    def decode(cls, data: bytes) -> Body:
        """Read a body. Raises Malformed naming what was wrong and where."""
        refuse_nul(data, where="body")
        try:
            raw = _decode_raw_body(data)
            _check_sizes(raw)
            meters = [_decode_meter(meter) for meter in raw.meters]
            resources = [_decode_resource(resource) for resource in raw.resources]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"body: {error}") from error
        body = cls(
            meters=meters,
            resources=resources,
            rows=raw.samples,
            origins=raw.origins,
            meter_digests=[sha256(meter).digest() for meter in raw.meters],
            resource_digests=[sha256(resource).digest() for resource in raw.resources],
            times=sorted({row[2] for row in raw.samples}),
        )
        body._check_references()
        return body

    def _check_references(self) -> None:
        last_meter = max((row[0] for row in self.rows), default=-1)
        last_resource = max((row[1] for row in self.rows), default=-1)
        if last_meter >= len(self.meters) or last_resource >= len(self.resources):
            raise Malformed(
                f"body: a sample names meter {last_meter} or resource {last_resource}, which it does not list"
            )
        if self.origins and sum(origin.sample_count for origin in self.origins) != len(self.rows):
            raise Malformed(f"body: origins must cover its {len(self.rows)} samples exactly")

    def leaves(self) -> list[bytes]:
        """The Merkle leaf of every sample, in order."""
        meters, resources = self.meter_digests, self.resource_digests
        return [hash_leaf(meters[row[0]], resources[row[1]], row[2], row[3]) for row in self.rows]

    def merkle_root(self) -> bytes:
        return root_of(self.leaves())

    @property
    def is_polled(self) -> bool:
        """Whether it was measured, and not made from inputs: done again, the work would measure anew."""
        return not self.origins

    @property
    def count(self) -> int:
        return len(self.rows)

    def owners(self) -> set[tuple[str, str | None]]:
        """Source and project of everything in it."""
        return {(resource.source, resource.project) for resource in self.resources}

    def samples(self) -> list[Sample]:
        """The samples as the agent took them, in order."""
        meters, resources = self.meters, self.resources
        return [Sample(meters[m], resources[r], timestamp, volume) for m, r, timestamp, volume in self.rows]


def encode_body(samples: Iterable[Sample], *, origins: Sequence[Origin] = ()) -> bytes:
    """Encode samples with each distinct meter and resource once, in the order of their first use."""
    meters: dict[bytes, int] = {}
    resources: dict[bytes, int] = {}
    # Pollsters hand out the same object again and again: encode each once. The list keeps the objects (and so their ids) alive.
    seen_meters: dict[int, int] = {}
    seen_resources: dict[int, int] = {}
    alive = list(samples)
    rows: list[tuple[int, int, int, str]] = []
    for meter, resource, timestamp, volume in alive:
        meter_index = seen_meters.get(id(meter))
        if meter_index is None:
            meter_index = seen_meters[id(meter)] = meters.setdefault(_encoder.encode(meter), len(meters))
        resource_index = seen_resources.get(id(resource))
        if resource_index is None:
            encoded = _encoder.encode(resource)
            resource_index = seen_resources[id(resource)] = resources.setdefault(encoded, len(resources))
        rows.append((meter_index, resource_index, timestamp, volume))
    raw = _RawBody(
        meters=[msgspec.Raw(meter) for meter in meters],
        resources=[msgspec.Raw(resource) for resource in resources],
        samples=rows,
        origins=list(origins),
    )
    return _encoder.encode(raw)


def compress_body(data: bytes) -> bytes:
    """The body as it travels: one zstd frame."""
    return zstd.compress(data, _ZSTD_LEVEL)


def decompress_body(data: bytes, *, size: int) -> bytes:
    """Undo ``compress_body``, never making more than ``size`` + 1 bytes. Raises TamperedBody if it is not exactly that."""
    decompressor = zstd.ZstdDecompressor()
    try:
        body = decompressor.decompress(data, max_length=size + 1)
    except zstd.ZstdError as error:
        raise TamperedBody(f"body is not a zstd frame: {error}") from error
    if len(body) != size or not decompressor.eof:
        raise TamperedBody(f"body does not unpack to the {size} bytes that its header states")
    if decompressor.unused_data:
        raise TamperedBody(f"body has {len(decompressor.unused_data)} bytes after its zstd frame")
    return body
