"""One notification as definitions see it, whatever service and format it came in."""

from __future__ import annotations

from typing import Any

import msgspec

from metering.messages import from_microseconds

__all__ = ["Notification", "timestamp_text"]


class Notification(msgspec.Struct, frozen=True):
    """An unpacked notification.

    ``timestamp`` is in µs since 1970 UTC; ``priority`` in capitals (``INFO``); ``publisher_id`` "" where there was none. ``payload`` is
    any JSON, with Nova's versioned objects unwrapped to their data. ``ctxt`` is the sender's context without the prefix ``_context_``
    and without tokens. ``origin`` is the key under which the samples made of it are stored once: the message id, or what Nova's legacy and
    versioned notification of one action have in common.
    """

    message_id: str
    origin: str
    event_type: str
    publisher_id: str
    priority: str
    timestamp: int
    payload: Any
    ctxt: dict[str, Any]
    raw: msgspec.Raw

    def document(self) -> dict[str, Any]:
        """What paths of definitions are looked up in (``$.payload.size``, ``$.ctxt.project_id``, ``$.metadata.message_id``)."""
        return {
            "ctxt": self.ctxt,
            "publisher_id": self.publisher_id,
            "event_type": self.event_type,
            "priority": self.priority,
            "payload": self.payload,
            "metadata": {"message_id": self.message_id, "timestamp": timestamp_text(self.timestamp)},
        }


def timestamp_text(timestamp: int) -> str:
    """ISO 8601 with microseconds and +00:00."""
    return from_microseconds(timestamp).isoformat(timespec="microseconds")
