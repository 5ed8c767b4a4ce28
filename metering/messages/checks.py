"""What an agent checks before it signs: one thing that cannot travel must not keep a whole batch from it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from .body import MAX_ENTRY_BYTES, refuse_nul
from .errors import Malformed
from .samples import Meter, Resource, Sample
from .volumes import VOLUME_MAX_LENGTH, VOLUME_PATTERN

__all__ = ["SampleCheck"]

_encode = msgspec.json.Encoder(decimal_format="number").encode
_decoders = {kind: msgspec.json.Decoder(kind).decode for kind in (Meter, Resource)}
_matches_volume = re.compile(VOLUME_PATTERN.replace("$", r"\Z")).match


class SampleCheck:
    """Checks samples one by one; a meter or resource that stands in many samples is looked at once."""

    def __init__(self) -> None:
        # Keeps what it saw alive, so that an id stays one object's.
        self._seen: dict[int, tuple[Any, str]] = {}

    def problem_with(self, sample: Sample) -> str:
        """Why no collector would take this sample; "" when it can travel."""
        return self.problem_of(sample.meter) or self.problem_of(sample.resource) or _reading(sample)

    def problem_of(self, entry: Meter | Resource) -> str:
        """Why no collector would take what has this meter or resource."""
        seen = self._seen.get(id(entry))
        if seen is None:
            seen = self._seen[id(entry)] = (entry, _entry_problem(entry))
        return seen[1]


def _entry_problem(entry: Meter | Resource) -> str:
    try:
        encoded = _encode(entry)
        refuse_nul(encoded, where=type(entry).__name__.lower())
        _decoders[type(entry)](encoded)
    except (Malformed, msgspec.MsgspecError, UnicodeError, TypeError, OverflowError, RecursionError, KeyError) as error:
        return f"{type(entry).__name__.lower()}: {error}"
    if len(encoded) > MAX_ENTRY_BYTES:
        return f"{type(entry).__name__.lower()} of {len(encoded)} bytes: expected at most {MAX_ENTRY_BYTES}"
    return ""


def _reading(sample: Sample) -> str:
    if not isinstance(sample.timestamp, int) or not -(2**63) <= sample.timestamp < 2**63:
        return f"timestamp {sample.timestamp!r}: expected whole µs since 1970"
    volume = sample.volume
    if not isinstance(volume, str) or len(volume) > VOLUME_MAX_LENGTH or not _matches_volume(volume):
        return f"volume {volume!r:.80}: expected text made by volume_text"
    return ""
