"""The body of a batch of events: ``{"events": [{"id": …, "type": …, "source": …, "generated": µs, "traits": […], "raw": …}, …]}``.

JSON in UTF-8, then zstd, as with samples. An event's Merkle leaf is the hash of its bytes as they stand in the body.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from .body import MAX_ENTRY_BYTES, MAX_SAMPLES, refuse_nul
from .errors import Malformed
from .events import Event, trait_problem
from .merkle import hash_bytes_leaf, root_of

__all__ = ["MAX_RAW_BYTES", "EventBody", "encode_event_body", "event_problem"]

# Of one event; all that is not raw is bounded like a resource.
MAX_RAW_BYTES = 1024 * 1024
MAX_OWNER_LENGTH = 255


class _RawEventBody(msgspec.Struct, forbid_unknown_fields=True):
    events: list[msgspec.Raw]


_encode = msgspec.json.Encoder().encode
_decode_raw_body = msgspec.json.Decoder(_RawEventBody).decode
_decode_event = msgspec.json.Decoder(Event).decode


class EventBody(msgspec.Struct):
    """A decoded body of events. ``times``: the distinct times of its events, ascending."""

    events: list[Event]
    times: list[int]
    root: bytes

    @classmethod
    def decode(cls, data: bytes) -> EventBody:
        """Read a body. Raises Malformed naming what was wrong and where."""
        try:
            # Raw payloads are not decoded, so their encoding is looked at here.
            data.decode()
            raw = _decode_raw_body(data)
            if len(raw.events) > MAX_SAMPLES:
                raise Malformed(f"body: {len(raw.events)} events: expected at most {MAX_SAMPLES}")
            encoded = [bytes(event) for event in raw.events]
            events = [_decode_event(event) for event in encoded]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Malformed(f"body: {error}") from error
        for event, event_bytes in zip(events, encoded, strict=True):
            _check(event, event_bytes)
        root = root_of([hash_bytes_leaf(event) for event in encoded])
        return cls(events=events, times=sorted({event.generated for event in events}), root=root)

    @property
    def is_polled(self) -> bool:
        """Never: events are made from notifications."""
        return False

    @property
    def count(self) -> int:
        return len(self.events)

    def merkle_root(self) -> bytes:
        return self.root

    def owners(self) -> set[tuple[str, str | None]]:
        """Source and project of everything in it."""
        return {(event.source, event.owner()[0]) for event in self.events}


def encode_event_body(events: Sequence[Event]) -> tuple[bytes, bytes]:
    """Events in their order as a body, and its Merkle root."""
    encoded = [_encode(event) for event in events]
    return _encode(_RawEventBody([msgspec.Raw(event) for event in encoded])), root_of(
        [hash_bytes_leaf(event) for event in encoded]
    )


def event_problem(event: Event) -> str:
    """Why no collector would take this event; "" when it can travel. One that cannot must not keep a whole batch from it."""
    try:
        encoded = _encode(event)
        encoded.decode()
        _check(_decode_event(encoded), encoded)
    except Malformed as error:
        return error.detail
    except (msgspec.MsgspecError, UnicodeError, TypeError, OverflowError, RecursionError) as error:
        return f"event: {error}"
    return ""


def _check(event: Event, encoded: bytes) -> None:
    raw_bytes = len(memoryview(event.raw))
    if raw_bytes > MAX_RAW_BYTES:
        raise Malformed(f"event {event.id!r}: a raw payload of {raw_bytes} bytes: expected at most {MAX_RAW_BYTES}")
    if len(encoded) - raw_bytes > MAX_ENTRY_BYTES:
        raise Malformed(f"event {event.id!r} of {len(encoded) - raw_bytes} bytes: expected at most {MAX_ENTRY_BYTES}")
    if b"\\u0000" in encoded:
        # Raw payloads may hold it: they are kept as they were written.
        refuse_nul(_encode(msgspec.structs.replace(event, raw=msgspec.Raw(b"0"))), where=f"event {event.id!r}")
    if len({trait.name for trait in event.traits}) != len(event.traits):
        raise Malformed(f"event {event.id!r}: a trait's name stands twice")
    if any(len(name or "") > MAX_OWNER_LENGTH for name in event.owner()):
        raise Malformed(f"event {event.id!r}: project_id and user_id: expected at most {MAX_OWNER_LENGTH} characters")
    for trait in event.traits:
        problem = trait_problem(trait) if trait.type != "string" else ""
        if problem:
            raise Malformed(f"event {event.id!r}: {problem}")
