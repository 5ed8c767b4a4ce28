"""How samples and events look outside, under the names that Ceilometer gave them. Volumes keep every digit."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from metering.messages import from_microseconds

from ...contract import Event, Outgoing

__all__ = ["event_json", "metering_message", "metering_message_json", "raw_payload", "sample_json"]

_encode = msgspec.json.Encoder(decimal_format="number").encode
_LARGEST_PACKED = 2**63


class _WithPayload(msgspec.Struct):
    payload: msgspec.Raw


_decode_payload = msgspec.json.Decoder(_WithPayload).decode


def sample_json(outgoing: Outgoing) -> bytes:
    """Ceilometer's sample attributes as one JSON object; the volume is a number literal with all its digits."""
    meter, resource, timestamp, volume = outgoing.sample
    return _encode(
        {
            "id": outgoing.id,
            "name": meter.name,
            "type": meter.type,
            "unit": meter.unit,
            "volume": msgspec.Raw(volume.encode()),
            "user_id": resource.user,
            "project_id": resource.project,
            "resource_id": resource.id,
            "timestamp": _time_text(timestamp),
            "resource_metadata": resource.metadata,
            "source": resource.source,
        }
    )


def metering_message(outgoing: Outgoing) -> dict[str, Any]:
    """Ceilometer's metering message for msgpack, unsigned.

    The volume is an integer or a double where that is exactly the value, else its text.
    """
    return _metering(outgoing, _packed_volume(outgoing.sample.volume))


def metering_message_json(outgoing: Outgoing) -> bytes:
    """Ceilometer's metering message as a JSON object; the volume is a number literal with all its digits."""
    return _encode(_metering(outgoing, msgspec.Raw(outgoing.sample.volume.encode())))


def _metering(outgoing: Outgoing, volume: Any) -> dict[str, Any]:
    meter, resource, timestamp, _ = outgoing.sample
    return {
        "source": resource.source,
        "counter_name": meter.name,
        "counter_type": meter.type,
        "counter_unit": meter.unit,
        "counter_volume": volume,
        "user_id": resource.user,
        "project_id": resource.project,
        "resource_id": resource.id,
        "timestamp": _time_text(timestamp),
        "resource_metadata": resource.metadata,
        "message_id": outgoing.id,
        # What a sender writes whose receiver checks none.
        "message_signature": "",
    }


def _packed_volume(volume: str) -> int | float | str:
    if "." not in volume:
        whole = int(volume)
        if -_LARGEST_PACKED <= whole < _LARGEST_PACKED:
            return whole
    number = float(volume)
    return number if Decimal(repr(number)) == Decimal(volume) else volume


def event_json(event: Event) -> bytes:
    """An event as the API's version 2 prints it; ``raw`` byte for byte."""
    return _encode(
        {
            "message_id": event.id,
            "event_type": event.type,
            "generated": _time_text(event.generated),
            "traits": [{"name": name, "type": type, "value": value} for name, type, value in event.traits],
            "raw": event.raw,
        }
    )


def raw_payload(event: Event) -> bytes:
    """The payload that the event was made from; b"" where none was kept."""
    raw = bytes(event.raw).strip()
    if raw in (b"{}", b"null", b""):
        return b""
    try:
        return bytes(_decode_payload(raw).payload)
    except msgspec.MsgspecError:
        return raw


def _time_text(timestamp: int) -> str:
    """ISO 8601 with microseconds and +00:00."""
    return from_microseconds(timestamp).isoformat(timespec="microseconds")
