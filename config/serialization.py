"""How a signed batch travels as a Celery task: its own bytes are the whole body.

Celery's body is (args, kwargs, embed); a batch's task has one argument and nothing else, so only that argument is sent. Whatever bytes
arrive under this content type become that argument: decoding cannot fail, and nothing can be embedded (no callbacks, no chains).
"""

from __future__ import annotations

from typing import Any

from kombu.serialization import register

__all__ = ["BATCH_CONTENT_TYPE", "BATCH_SERIALIZER", "register_batches"]

BATCH_SERIALIZER = "celometer-batch"
BATCH_CONTENT_TYPE = "application/x-celometer-batch"


def register_batches() -> None:
    """Make the serializer known to kombu."""
    register(BATCH_SERIALIZER, _encode, _decode, content_type=BATCH_CONTENT_TYPE, content_encoding="binary")


def _encode(body: tuple[tuple[bytes], dict[str, Any], dict[str, Any]]) -> bytes:
    (message,), _, _ = body
    return message


def _decode(message: bytes | memoryview) -> tuple[tuple[bytes], dict[str, Any], dict[str, Any]]:
    return (bytes(message),), {}, {}
