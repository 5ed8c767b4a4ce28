"""Many notifications as they came off the bus, handed over in one task: signed, so that nobody else's words become measurements.

``"CELN" ‖ version byte ‖ key id (16 hex digits) ‖ 64 bytes Ed25519 signature ‖ content``; the content is one byte that tells whether it is
compressed, then msgpack. The signature covers the content.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from backports import zstd

from .errors import BadSignature, Malformed, MessageRefused
from .keys import PrivateKey, PublicKey

__all__ = [
    "MAX_LETTER_BYTES",
    "BadBundle",
    "Bundle",
    "Letter",
    "is_bundle",
    "open_bundle",
    "read_bundle",
    "seal_bundle",
]

_MAGIC = b"CELN\x01"
_KEY = slice(len(_MAGIC), len(_MAGIC) + 16)
_SIGNATURE = slice(_KEY.stop, _KEY.stop + 64)
_DOMAIN = b"celometer bundle v1\x00"
_PLAIN, _COMPRESSED = b"p", b"z"
_ZSTD_LEVEL = 1
_MAX_BYTES = 256 * 1024 * 1024
# No service sends such messages, and RabbitMQ 4 takes none of more than 16 MiB: one that could not be handed over would hold up all others.
MAX_LETTER_BYTES = 8 * 1024 * 1024


class BadBundle(MessageRefused):
    """Bytes that are no bundle, or not one of a key that is trusted."""

    code = "bad_bundle"


class Letter(msgspec.Struct, frozen=True, array_like=True):
    """One message as it came off the bus, unread: body, content type, compression ("" for none), exchange and routing key.

    ``whole_bytes``: how many bytes it had, where the body is only its start; else 0.
    """

    body: bytes
    content_type: str = ""
    compression: str = ""
    exchange: str = ""
    routing_key: str = ""
    whole_bytes: int = 0


class Bundle(msgspec.Struct, frozen=True):
    """What one task carries. ``id`` is unique; ``taken`` (µs UTC) is when it was made; ``bus`` names where from, without a password."""

    id: str
    taken: int
    bus: str
    letters: list[Letter]


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Bundle).decode


def seal_bundle(bundle: Bundle, key: PrivateKey, *, compress: bool = True) -> bytes:
    """The bundle as it travels. Uncompressed, people can read in it."""
    plain = _encode(bundle)
    content = _COMPRESSED + zstd.compress(plain, _ZSTD_LEVEL) if compress else _PLAIN + plain
    return _MAGIC + key.public.id.encode() + key.sign(content, domain=_DOMAIN) + content


def is_bundle(data: bytes) -> bool:
    """Whether bytes say that they are one."""
    return data[: len(_MAGIC)] == _MAGIC


def open_bundle(data: bytes, *, find_key: Callable[[str], PublicKey | None], remedy: str = "") -> Bundle:
    """Verify and read a bundle; ``find_key`` gives the trusted key of that id, ``remedy`` is told where there is none. Raises BadBundle."""
    if not is_bundle(data):
        raise BadBundle(f"{len(data)} bytes that start with {data[:5]!r}: expected a bundle of notifications")
    key_id = data[_KEY].decode("ascii", "replace")
    key = find_key(key_id)
    if key is None:
        raise BadBundle(f"a bundle under the key {key_id!r}, which is not trusted here{remedy}")
    try:
        key.verify(data[_SIGNATURE], data[_SIGNATURE.stop :], domain=_DOMAIN)
    except BadSignature as error:
        raise BadBundle(error.detail) from error
    return read_bundle(data)


def read_bundle(data: bytes) -> Bundle:
    """What a bundle says, whoever made it: for people to look at. Raises BadBundle."""
    try:
        return _decode(_unpack(data[_SIGNATURE.stop :]))
    except Malformed as error:
        raise BadBundle(error.detail) from error
    except (msgspec.DecodeError, zstd.ZstdError, UnicodeDecodeError) as error:
        raise BadBundle(f"cannot be read: {error}") from error


def _unpack(content: bytes) -> bytes:
    if content[:1] == _PLAIN:
        return content[1:]
    # Signed by a trusted key, so this bound only keeps a mistake of ours from taking all memory.
    plain = zstd.ZstdDecompressor().decompress(content[1:], max_length=_MAX_BYTES + 1)
    if len(plain) > _MAX_BYTES:
        raise Malformed(f"more than {_MAX_BYTES} bytes when unpacked")
    return plain
