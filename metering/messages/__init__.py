"""The language that all parts speak: samples, events, batches, signatures. Pure: no Django, no I/O, no clock.

The way of a sample through it: ``samples`` (what was measured) → ``body`` (encoded once) → ``merkle`` and ``keys`` (bound and signed)
→ ``batch`` (one string of bytes), and back. Events go the same way: ``events`` → ``event_body``.
What comes before measurements goes in a ``bundle``: notifications as they came off a bus. ``refusals`` carry what nothing could be made of.
"""

from .batch import Header, Kind, Link, SealedBatch, open_body, parse_batch, read_header, seal_batch, seal_events
from .body import Body, Origin, Row
from .bundle import MAX_LETTER_BYTES, BadBundle, Bundle, Letter, is_bundle, open_bundle, read_bundle, seal_bundle
from .checks import SampleCheck
from .errors import (
    BadSignature,
    BadTrait,
    BadVolume,
    BatchTooLarge,
    Malformed,
    MessageRefused,
    TamperedBody,
    UnsupportedVersion,
)
from .event_body import MAX_RAW_BYTES, EventBody, event_problem
from .events import EMPTY_RAW, MAX_TRAITS, TRAIT_TYPES, Event, Trait, TraitType, trait_text
from .identity import batch_id_at, batch_of, derive_batch_id, due_of, position_of, sample_id
from .keys import PrivateKey, PublicKey
from .moments import from_microseconds, to_microseconds
from .refusals import Refusal, is_refusal, parse_refusal
from .samples import Meter, MeterType, Resource, Sample
from .volumes import volume_text

__all__ = [
    "EMPTY_RAW",
    "MAX_LETTER_BYTES",
    "MAX_RAW_BYTES",
    "MAX_TRAITS",
    "TRAIT_TYPES",
    "BadBundle",
    "BadSignature",
    "BadTrait",
    "BadVolume",
    "BatchTooLarge",
    "Body",
    "Bundle",
    "Event",
    "EventBody",
    "Header",
    "Kind",
    "Letter",
    "Link",
    "Malformed",
    "MessageRefused",
    "Meter",
    "MeterType",
    "Origin",
    "PrivateKey",
    "PublicKey",
    "Refusal",
    "Resource",
    "Row",
    "Sample",
    "SampleCheck",
    "SealedBatch",
    "TamperedBody",
    "Trait",
    "TraitType",
    "UnsupportedVersion",
    "batch_id_at",
    "batch_of",
    "derive_batch_id",
    "due_of",
    "event_problem",
    "from_microseconds",
    "is_bundle",
    "is_refusal",
    "open_body",
    "open_bundle",
    "parse_batch",
    "parse_refusal",
    "position_of",
    "read_bundle",
    "read_header",
    "sample_id",
    "seal_batch",
    "seal_bundle",
    "seal_events",
    "to_microseconds",
    "trait_text",
    "volume_text",
]
