"""The language that all parts speak: samples, batches, signatures. Pure: no Django, no I/O, no clock.

The way of a sample through it: ``samples`` (what was measured) → ``body`` (encoded once) → ``merkle`` and ``keys`` (bound and signed)
→ ``batch`` (one string of bytes), and back.
"""

from .batch import Header, Link, SealedBatch, open_body, parse_batch, seal_batch
from .body import Body, Origin
from .errors import BadSignature, BadVolume, Malformed, MessageRefused, TamperedBody, UnsupportedVersion
from .identity import batch_id_at, batch_of, derive_batch_id, position_of, sample_id
from .keys import PrivateKey, PublicKey
from .samples import Meter, MeterType, Resource, Sample
from .volumes import volume_text

__all__ = [
    "BadSignature",
    "BadVolume",
    "Body",
    "Header",
    "Link",
    "Malformed",
    "MessageRefused",
    "Meter",
    "MeterType",
    "Origin",
    "PrivateKey",
    "PublicKey",
    "Resource",
    "Sample",
    "SealedBatch",
    "TamperedBody",
    "UnsupportedVersion",
    "batch_id_at",
    "batch_of",
    "derive_batch_id",
    "open_body",
    "parse_batch",
    "position_of",
    "sample_id",
    "seal_batch",
    "volume_text",
]
