"""One message off the bus, unpacked: both envelopes, the context without its prefix, Nova's versioned objects opened."""

from __future__ import annotations

import bz2
import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from metering.messages import MAX_LETTER_BYTES, Letter, MessageRefused, to_microseconds

from . import nova
from .notification import Notification

__all__ = ["MAX_NAME", "BadNotification", "unpack", "without_secrets"]

MAX_NAME = 255
_MAX_DEPTH = 100
_SECRETS = frozenset({"auth_token", "service_catalog", "trustor_user_token"})
_CONTEXT = "_context_"


class BadNotification(MessageRefused):
    """A message that is no notification; the detail names what was found and what was expected."""

    code = "bad_notification"


class _Envelope(msgspec.Struct):
    version: Any = msgspec.field(name="oslo.version", default=None)
    message: Any = msgspec.field(name="oslo.message", default=None)


class _Fields(msgspec.Struct):
    """The inner message; what is not named here is context or transport's own."""

    event_type: str
    payload: msgspec.Raw = msgspec.Raw(b"null")
    message_id: str | None = None
    publisher_id: str | None = None
    priority: str | None = None
    timestamp: str | None = None


_decode_envelope = msgspec.json.Decoder(_Envelope).decode
_decode_fields = msgspec.json.Decoder(_Fields).decode
_decode_any = msgspec.json.Decoder().decode
_encode_any = msgspec.json.Encoder().encode


def unpack(letter: Letter) -> Notification:
    """Read one message. Raises BadNotification."""
    text = _hide_passwords(_inner(_uncompressed(letter)))
    try:
        fields = _decode_fields(text)
        message = _decode_any(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadNotification(f"no notification: {error}: {_start(text)}") from error
    message_id = _name("message_id", fields.message_id)
    event_type = _name("event_type", fields.event_type)
    _check_depth(text, message)
    payload, raw = _without_secrets(fields, message.get("payload"))
    payload, ctxt = nova.unwrap(payload), _context(message)
    return Notification(
        message_id=message_id,
        origin=nova.origin_of(event_type, payload, ctxt) or _own_origin(message_id),
        event_type=event_type,
        publisher_id=fields.publisher_id or "",
        priority=_priority(fields, letter),
        timestamp=_timestamp(fields.timestamp),
        payload=payload,
        ctxt=ctxt,
        raw=raw,
    )


def without_secrets(letter: Letter) -> Letter:
    """A message that is kept although it could not be read, without the token of whoever asked, and without passwords."""
    try:
        body, compression = _uncompressed(letter), ""
    except BadNotification:
        body, compression = letter.body, letter.compression
    return msgspec.structs.replace(letter, body=_hide_all(body), compression=compression)


def _hide_all(body: bytes) -> bytes:
    return _ANY_SECRET.sub(rb"\1***", body)


def _hide_passwords(text: bytes) -> bytes:
    """The message without what services should not have told: it is kept for years, and events are read by many."""
    if any(part in text for part in _PARTS_OF_NAMES):
        return _PASSWORD.sub(rb'\1***"', text)
    return text


# What oslo.utils hides in the services' logs, as far as it can stand in a notification, and the key of Neutron's VPNs.
_PASSWORDS = (
    rb"(?:admin_?|auth_?|user_?|original_?|new_?|root_?)?pass(?:word)?|sys_pswd|psk|passphrase|private_key|chap_?secret"
)
# Looked for first: that costs a fifth of it.
_PARTS_OF_NAMES = (b"pass", b"Pass", b'pswd"', b'psk"', b'ivate_key"', b'secret"')
_PASSWORD = re.compile(rb'(?i)("(?:' + _PASSWORDS + rb')"\s*:\s*")(?:[^"\\]|\\.)++"')
# Quotes may be escaped here: a message stands as text in its envelope.
_ANY_SECRET = re.compile(
    rb'(?i)("(?:_context_auth_token|_context_trustor_user_token|' + _PASSWORDS + rb')\\*"\s*:\s*\\*")[^"\\]+'
)


def _name(what: str, value: str | None) -> str:
    """A text that names things in the store; one that it cannot hold would keep a whole batch out."""
    if not value or len(value) > MAX_NAME or "\0" in value:
        raise BadNotification(f"{what} {value!r:.80}: expected text of at most {MAX_NAME} characters, without NUL")
    return value


def _own_origin(message_id: str) -> str:
    """The message id; one with a slash could be the key of something else: what Nova's formats share, what is derived of a batch."""
    return f"message/{sha256(message_id.encode()).hexdigest()}" if "/" in message_id else message_id


def _check_depth(text: bytes, message: Any) -> None:
    """What is nested deep is read by one process and not by another: that hangs on how much of its stack is in use."""
    if text.count(b"[") + text.count(b"{") <= _MAX_DEPTH:
        return
    level = [message]
    for _ in range(_MAX_DEPTH):
        level = [
            value
            for outer in level
            for value in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(value, dict | list)
        ]
        if not level:
            return
    raise BadNotification(f"objects and lists nested more than {_MAX_DEPTH} deep: {_start(text)}")


def _inner(body: bytes) -> bytes:
    """The inner message: that of the envelope, or the body itself where there is none (format 1.0)."""
    try:
        envelope = _decode_envelope(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadNotification(f"no JSON object: {error}: {_start(body)}") from error
    if envelope.version is None or envelope.message is None:
        return body
    if not isinstance(envelope.message, str) or not re.match(r"2\.0\Z", str(envelope.version)):
        raise BadNotification(f"envelope version {envelope.version!r:.40}: expected '2.0' around a text")
    return envelope.message.encode("utf-8", "replace")


def _context(message: dict[str, Any]) -> dict[str, Any]:
    return {
        name.removeprefix(_CONTEXT): value
        for name, value in message.items()
        if name.startswith(_CONTEXT) and name.removeprefix(_CONTEXT) not in _SECRETS
    }


def _without_secrets(fields: _Fields, payload: Any) -> tuple[Any, msgspec.Raw]:
    """Payload and its bytes. A failed login may carry a part of the password's hash among its attachments."""
    if fields.event_type.startswith("identity.") and isinstance(payload, dict) and "attachments" in payload:
        payload = {name: value for name, value in payload.items() if name != "attachments"}
        return payload, msgspec.Raw(_encode_any(payload))
    # A copy: what it was cut from is not kept with it.
    return payload, fields.payload.copy()


def _priority(fields: _Fields, letter: Letter) -> str:
    """The message's own, else the routing key's (``notifications.info``)."""
    return (fields.priority or letter.routing_key.rpartition(".")[2] or "info").upper()


def _timestamp(text: str | None) -> int:
    """``2026-03-14 09:26:41.220517``: no zone, UTC."""
    try:
        moment = datetime.fromisoformat(text or "")
        return to_microseconds(moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise BadNotification(f"timestamp {text!r:.80}: expected a time such as 2026-03-14 09:26:41.220517") from error


def _uncompressed(letter: Letter) -> bytes:
    """The body; oslo.messaging may have compressed it, and says so."""
    whole_bytes = letter.whole_bytes or len(letter.body)
    if whole_bytes > MAX_LETTER_BYTES:
        raise BadNotification(f"{whole_bytes} bytes: expected at most {MAX_LETTER_BYTES}; its start is kept")
    if not letter.compression:
        return letter.body
    make = _DECOMPRESSORS.get(letter.compression)
    if make is None:
        known = ", ".join(sorted(_DECOMPRESSORS))
        raise BadNotification(f"compression {letter.compression!r:.80}: expected one of {known}")
    try:
        body = make().decompress(letter.body, MAX_LETTER_BYTES + 1)
    except (zlib.error, OSError, ValueError) as error:
        raise BadNotification(f"not {letter.compression}: {error}") from error
    if len(body) > MAX_LETTER_BYTES:
        raise BadNotification(f"more than {MAX_LETTER_BYTES} bytes when unpacked")
    return bytes(body)


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    # kombu says gzip by this type and writes zlib's form.
    "application/x-gzip": zlib.decompressobj,
    "application/x-bz2": bz2.BZ2Decompressor,
}


def _start(text: bytes) -> str:
    return repr(_hide_all(text[:200]))
