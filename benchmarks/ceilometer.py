"""The same samples as Ceilometer's agents send them: a JSON object for each, with all of its metadata, signed by itself. A baseline.

Its envelope, which would write the objects as escaped text into another object, is left out.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid1

from metering.messages import Sample

__all__ = ["open_message", "write_message"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_message(sample: Sample, *, secret: bytes) -> bytes:
    """One sample on the wire."""
    moment = _EPOCH + timedelta(microseconds=sample.timestamp)
    message: dict[str, Any] = {
        "source": sample.resource.source,
        "counter_name": sample.meter.name,
        "counter_type": sample.meter.type,
        "counter_unit": sample.meter.unit,
        "counter_volume": float(sample.volume),
        "user_id": sample.resource.user,
        "user_name": None,
        "project_id": sample.resource.project,
        "project_name": None,
        "resource_id": sample.resource.id,
        "timestamp": moment.replace(tzinfo=None).isoformat(),
        "resource_metadata": sample.resource.metadata,
        "message_id": str(uuid1()),
        "monotonic_time": None,
    }
    message["message_signature"] = _sign(message, secret)
    return json.dumps(message).encode()


def open_message(data: bytes, *, secret: bytes) -> dict[str, Any] | None:
    """What was sent; None where the signature is not that of the secret."""
    message: dict[str, Any] = json.loads(data)
    signature = message.pop("message_signature")
    return message if hmac.compare_digest(signature, _sign(message, secret)) else None


def _sign(message: dict[str, Any], secret: bytes) -> str:
    digest = hmac.new(secret, digestmod=hashlib.sha256)
    for key, value in _flatten(message):
        digest.update(key.encode())
        digest.update(str(value).encode())
    return digest.hexdigest()


def _flatten(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key in sorted(content):
        value = content[key]
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{key}:")
        else:
            yield prefix + key, value
