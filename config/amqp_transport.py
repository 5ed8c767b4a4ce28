"""kombu's AMQP transport, made to survive properties that anybody with a login may put on a message.

A property that cannot be read (a content type that is no UTF-8, a date after the year 9999) raises in the reader of frames: the worker
dies, the broker delivers the message again, the next worker dies. And kombu unpacks a body that says it is compressed as soon as it
arrives, however large it gets. Here both become messages that the worker can look at and keep.
"""

from __future__ import annotations

from typing import Any

from amqp import serialization
from kombu.transport import TRANSPORT_ALIASES, pyamqp

__all__ = ["UNREADABLE", "Message", "Transport", "install"]

# The header under which a message's properties stand when they cannot be read, in hex.
UNREADABLE = "unreadable properties"
_BASIC_CLASS = 60
_REDIS_OPTIONS = frozenset(
    ["visibility_timeout", "unacked_restore_interval", "socket_connect_timeout", "socket_timeout", "socket_keepalive"]
)
_decode_properties = serialization.PROPERTY_CLASSES[_BASIC_CLASS]


def install() -> None:
    """Use this transport for amqp:// and amqps:// URLs."""
    serialization.PROPERTY_CLASSES[_BASIC_CLASS] = read_properties
    for scheme in ("amqp", "pyamqp"):
        TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"
    TRANSPORT_ALIASES["amqps"] = f"{__name__}:SSLTransport"


def read_properties(buffer: Any, offset: int) -> tuple[dict[str, Any], int]:
    """The properties of a message; those that cannot be read, as one header with their bytes."""
    try:
        return _decode_properties(buffer, offset)
    except Exception as error:  # whatever the bytes provoke: they are a stranger's
        raw = bytes(buffer[offset:])
        return {"application_headers": {UNREADABLE: raw.hex(), "error": repr(error)[:200]}}, offset + len(raw)


class Message(pyamqp.Message):
    """A message whose body stays as it came."""

    def __init__(self, msg: Any, channel: Any = None, **options: Any) -> None:
        headers = msg.properties.get("application_headers") or {}
        if "compression" in headers:
            headers["compression, not applied"] = headers.pop("compression")
        super().__init__(msg, channel=channel, **options)


class Channel(pyamqp.Channel):
    Message = Message


class Connection(pyamqp.Connection):
    Channel = Channel

    def __init__(self, *args: Any, **options: Any) -> None:
        # Celery has one set of options for all its brokers, and the server's own may be a Redis.
        super().__init__(*args, **{name: value for name, value in options.items() if name not in _REDIS_OPTIONS})


class Transport(pyamqp.Transport):
    Connection = Connection


class SSLTransport(pyamqp.SSLTransport):
    Connection = Connection
