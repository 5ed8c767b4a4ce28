"""``http://`` and ``https://``: lists of JSON objects, posted and signed.

With ``hmac_key_file`` each request carries ``webhook-id``, ``webhook-timestamp`` and ``webhook-signature`` as the Standard Webhooks say:
HMAC-SHA256 over id, time and the very bytes of the body. The id is made of the body, so a repetition has the same.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from ...contract import Event, Outgoing
from .address import parse_address
from .buffer import Entry, Outcome
from .buffered import BufferedPublisher, limits_of
from .shapes import event_json, raw_payload, sample_json
from .web_target import WebTarget

__all__ = ["HttpPublisher", "sign"]

# Below what web servers take by default (nginx: one megabyte).
_BATCH_BYTES = 512 * 1024
_KEY_PREFIX = "whsec_"


class HttpPublisher(BufferedPublisher):
    """Samples and events never share a list. ``batch=false`` posts each object by itself; ``raw_only`` posts events' payloads alone."""

    schemes: ClassVar[tuple[str, ...]] = ("http", "https")

    def __init__(self, url: str) -> None:
        address = parse_address(url)
        self._posts_lists: bool = address.values["batch"]
        self._raw_only: bool = address.values["raw_only"]
        key_file = address.values["hmac_key_file"]
        self._key = _read_key(Path(key_file)) if key_file else b""
        tls = address.scheme == "https"
        self._target = WebTarget(address, tls=tls, default_port=443 if tls else 80)
        limits = limits_of(address)._replace(batch_bytes=_BATCH_BYTES)
        super().__init__(address, limits if self._posts_lists else limits._replace(batch_entries=1))

    def sample_entry(self, outgoing: Outgoing) -> Entry:
        return Entry("samples", sample_json(outgoing))

    def event_entry(self, event: Event) -> Entry:
        if not self._raw_only:
            return Entry("events", event_json(event))
        payload = raw_payload(event)
        if not payload:
            raise ValueError("raw_only, and no payload was kept")
        return Entry("events", payload)

    def send(self, batch: Sequence[Entry], timeout_seconds: float) -> Outcome:
        body = b",".join(entry.body for entry in batch)
        body = b"[" + body + b"]" if self._posts_lists else body
        headers = {"content-type": "application/json"}
        if self._key:
            headers |= sign(body, self._key, now=int(time.time()))
        return self._target.post(body, headers, timeout_seconds=timeout_seconds).outcome(batch)

    def release(self) -> None:
        self._target.close()


def sign(body: bytes, key: bytes, *, now: int) -> dict[str, str]:
    """The headers that prove who sent these bytes and when (Unix seconds)."""
    id = f"msg_{hashlib.sha256(body).hexdigest()[:32]}"
    signature = hmac.new(key, f"{id}.{now}.".encode() + body, hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": str(now),
        "webhook-signature": f"v1,{base64.b64encode(signature).decode()}",
    }


def _read_key(path: Path) -> bytes:
    """The file's bytes without blanks around them; after ``whsec_`` they are base64. Raises OSError or ValueError."""
    key = path.read_bytes().strip()
    if key.startswith(_KEY_PREFIX.encode()):
        try:
            key = base64.b64decode(key.removeprefix(_KEY_PREFIX.encode()), validate=True)
        except binascii.Error:
            raise ValueError(f"{path}: expected base64 after {_KEY_PREFIX}") from None
    if len(key) < 16:
        raise ValueError(f"{path}: expected a key of at least 16 bytes")
    return key
