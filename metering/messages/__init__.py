"""The language that all parts speak: samples, batches, signatures. Pure: no Django, no I/O, no clock.

The way of a sample through it: ``samples`` (what was measured) → ``body`` (encoded once) → ``merkle`` and ``keys`` (bound and signed)
→ ``batch`` (one string of bytes), and back.
"""

from .batch import Header, Link, SealedBatch, open_body, parse_batch, seal_batch
from .body import Body, Origin, Row
from .checks import SampleCheck
from .errors import BadSignature, BadVolume, BatchTooLarge, Malformed, MessageRefused, TamperedBody, UnsupportedVersion
from .identity import batch_id_at, batch_of, derive_batch_id, due_of, position_of, sample_id
from .keys import PrivateKey, PublicKey
from .moments import from_microseconds, to_microseconds
from .samples import Meter, MeterType, Resource, Sample
from .volumes import volume_text

__all__ = [
    "BadSignature",
    "BadVolume",
    "BatchTooLarge",
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
    "Row",
    "Sample",
    "SampleCheck",
    "SealedBatch",
    "TamperedBody",
    "UnsupportedVersion",
    "batch_id_at",
    "batch_of",
    "derive_batch_id",
    "due_of",
    "from_microseconds",
    "open_body",
    "parse_batch",
    "position_of",
    "sample_id",
    "seal_batch",
    "to_microseconds",
    "volume_text",
]
