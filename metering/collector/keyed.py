"""Posts that may be repeated: a key of the client's says that two requests are one.

All that has to be kept is one origin key. It is written before the batch, and names the batch that the request becomes: its id
follows from the moment of the first request and from what was sent. So whoever repeats the request, after whatever fault, makes the same
batch, which the ledger takes once; another request with the same key would make another batch, and is seen by that. Keys are kept as
long as origins are (``retention.yaml``).
"""

from __future__ import annotations

import struct
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from metering.messages import derive_batch_id, due_of, from_microseconds, to_microseconds
from metering.models import Origin

from .errors import KeyReused

__all__ = ["API", "KeyedRequest", "claim", "recall", "release"]

# The agent, and the source of batches and origin keys, of all that is posted.
API = "api"
_CLAIM = (
    "INSERT INTO metering_origin (source, key, batch_id, recorded_at) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING"
)
_RELEASE = """
DELETE FROM metering_origin WHERE source = %(source)s AND key = %(key)s AND batch_id = %(batch)s
    AND NOT EXISTS (SELECT FROM metering_batch WHERE id = %(batch)s)
    AND NOT EXISTS (SELECT FROM metering_parkedbatch WHERE id = %(batch)s)
"""


class KeyedRequest(NamedTuple):
    """A request with a key. ``at``: when it came first, to the millisecond. ``is_repeat``: the key was claimed before."""

    origin_key: str
    unit: str
    at: datetime
    is_repeat: bool = False

    @property
    def batch_id(self) -> UUID:
        return derive_batch_id(agent=API, source=API, due=to_microseconds(self.at), unit=self.unit)


def recall(key: str, *, user_id: int, content: tuple[bytes, ...], now: datetime) -> KeyedRequest:
    """The request that this user has made with this key before, or else the one to make now; nothing is written.

    ``content``: all that makes it the request that it is. Raises KeyReused when the key belongs to another one.
    """
    moment = to_microseconds(now) // 1000 * 1000
    request = KeyedRequest(
        origin_key="post:" + _digest(str(user_id).encode(), key.encode()),
        unit=_digest(str(user_id).encode(), key.encode(), *content),
        at=from_microseconds(moment),
    )
    return _first(request) or request


def claim(request: KeyedRequest) -> KeyedRequest:
    """Make the key this request's own; committed when this returns. Where another process was quicker: its request, if it is the same.

    Raises KeyReused.
    """
    if request.is_repeat:
        return request
    while not _insert(request):
        # None: retention took an old key away between the two statements.
        if first := _first(request):
            return first
    return request


def release(request: KeyedRequest) -> None:
    """Give a claimed key back when the request was refused: what is sent once it is corrected may have the same one."""
    with connection.cursor() as cursor:
        cursor.execute(_RELEASE, {"source": API, "key": request.origin_key, "batch": request.batch_id})


def _insert(request: KeyedRequest) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_CLAIM, [API, request.origin_key, request.batch_id, request.at])
        return cursor.rowcount == 1


def _first(request: KeyedRequest) -> KeyedRequest | None:
    ids = Origin.objects.filter(key=request.origin_key, source=API).values_list("batch_id", flat=True)
    batch_id = ids.first()
    if batch_id is None:
        return None
    first = request._replace(at=from_microseconds(due_of(batch_id)), is_repeat=True)
    if first.batch_id != batch_id:
        raise KeyReused("The key belongs to another request: a key stands for one request and its repetitions.")
    return first


def _digest(*parts: bytes) -> str:
    digest = sha256()
    for part in parts:
        digest.update(struct.pack(">Q", len(part)) + part)
    return digest.hexdigest()
