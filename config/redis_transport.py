"""kombu's Redis transport, made to survive what anybody with a login may push onto a queue.

kombu trusts a list's items to be its own JSON: a foreign one kills the consumer, and one with a stolen delivery tag takes another message's
place among the unacknowledged. Here every item is checked; what is no message becomes one that carries the raw bytes under its own
content type, so that the worker can keep it; and each gets a delivery tag of ours.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any
from uuid import uuid4

from kombu.transport import TRANSPORT_ALIASES, redis
from kombu.utils.json import loads

__all__ = ["FOREIGN_CONTENT_TYPE", "Channel", "Transport", "install", "message_from_item"]

FOREIGN_CONTENT_TYPE = "application/x-celometer-foreign"


def install() -> None:
    """Use this transport for redis:// and rediss:// URLs."""
    for scheme in ("redis", "rediss"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


def message_from_item(item: bytes, *, queue: str) -> dict[str, Any]:
    """A list item as kombu's message; foreign bytes are wrapped. Never raises."""
    payload = _kombu_message(item)
    if payload is None:
        payload = {
            "body": base64.b64encode(item).decode(),
            "content-type": FOREIGN_CONTENT_TYPE,
            "content-encoding": "binary",
            "headers": {},
            "properties": {"body_encoding": "base64"},
        }
    payload["properties"]["delivery_tag"] = str(uuid4())
    payload["properties"]["delivery_info"] = {"exchange": "", "routing_key": queue}
    return payload


def _kombu_message(item: bytes) -> dict[str, Any] | None:
    """The item if it has the form that kombu relies on, else None."""
    try:
        payload = loads(item.decode())
        properties, body = payload["properties"], payload["body"]
        if not isinstance(properties, dict) or not isinstance(body, str):
            return None
        if not isinstance(payload.get("headers"), dict) or not isinstance(payload.get("content-type"), str):
            return None
        encoding = properties.get("body_encoding")
        if encoding == "base64":
            base64.b64decode(body, validate=True)
        elif encoding is not None:
            return None
        properties["priority"] = 0
    except (ValueError, LookupError, TypeError, AttributeError, binascii.Error, RecursionError):
        return None
    return payload


class Channel(redis.Channel):
    """Reads items without trusting them."""

    def _brpop_read(self, **options: Any) -> bool:
        try:
            try:
                reply = self.client.parse_response(self.client.connection, "BRPOP", **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            if not reply:
                raise redis.Empty
            key, item = reply
            queue = key.decode().rsplit(self.sep, 1)[0]
            self._queue_cycle.rotate(queue)
            self.connection._deliver(message_from_item(item, queue=queue), queue)
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()


class Transport(redis.Transport):
    Channel = Channel
