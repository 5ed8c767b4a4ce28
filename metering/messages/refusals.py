"""What an agent could not make anything of, on its way to the quarantine: the bytes as they came, and why.

``"CELR" ‖ version byte ‖ uint32 header length ‖ header (JSON: agent, reason, detail) ‖ the refused bytes``. It is not signed: a quarantine
takes in what anybody sends, and proves nothing.
"""

from __future__ import annotations

import struct
from typing import Annotated

import msgspec

from .errors import Malformed

__all__ = ["Refusal", "is_refusal", "parse_refusal"]

_MAGIC = b"CELR\x01"
_LENGTH = struct.Struct(">I")
_MAX_HEADER_BYTES = 16 * 1024
# RabbitMQ 4 takes no message of more than 16 MiB; of what would not get through, the start is evidence enough.
_KEPT_WHOLE_BYTES = 15 * 1024 * 1024
_KEPT_START_BYTES = 1024 * 1024


class _Header(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    agent: Annotated[str, msgspec.Meta(max_length=255)]
    reason: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]{1,40}\Z")]
    detail: Annotated[str, msgspec.Meta(max_length=4000)]


_encode_header = msgspec.json.Encoder().encode
_decode_header = msgspec.json.Decoder(_Header).decode


class Refusal(msgspec.Struct, frozen=True):
    """Bytes that ``agent`` refused; ``reason`` is a stable code (``bad_notification``), ``detail`` names the offending value."""

    agent: str
    reason: str
    detail: str
    message: bytes

    def to_bytes(self) -> bytes:
        # A detail may quote half of a surrogate pair, which no JSON of ours can carry.
        detail, message = self.detail, self.message
        if len(message) > _KEPT_WHOLE_BYTES:
            detail = f"of {len(message)} bytes the first {_KEPT_START_BYTES} are kept: {detail}"
            message = message[:_KEPT_START_BYTES]
        detail = detail[:4000].encode("utf-8", "backslashreplace").decode()[:4000]
        header = _encode_header(_Header(self.agent, self.reason, detail))
        return _MAGIC + _LENGTH.pack(len(header)) + header + message


def is_refusal(data: bytes) -> bool:
    """Whether a message says that it is one."""
    return data[: len(_MAGIC)] == _MAGIC


def parse_refusal(data: bytes) -> Refusal:
    """Take a refusal apart. Raises Malformed."""
    start = len(_MAGIC) + _LENGTH.size
    if not is_refusal(data) or len(data) < start:
        raise Malformed("not a refusal")
    (length,) = _LENGTH.unpack_from(data, len(_MAGIC))
    if length > _MAX_HEADER_BYTES or len(data) < start + length:
        raise Malformed(f"refusal of {len(data)} bytes cannot hold a header of {length} bytes")
    try:
        header = _decode_header(data[start : start + length])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"refusal: {error}") from error
    return Refusal(header.agent, header.reason, header.detail, data[start + length :])
