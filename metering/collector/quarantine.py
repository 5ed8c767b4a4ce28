"""What could not be accepted, kept with its bytes and its reason until an operator decides."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone
from psycopg2.extras import Json

from metering.messages import MessageRefused, Refusal, parse_batch

__all__ = ["put_in_quarantine", "put_refusal_in_quarantine"]

# No batch is larger than its body's bound; of what is, the start is evidence enough.
_KEPT_WHOLE_BYTES = 72 * 1024 * 1024
_KEPT_START_BYTES = 1024 * 1024
# The same message refused for the same reason is one entry: a flood of repeats costs one row. One that comes again waits again.
_UPSERT = """
INSERT INTO metering_quarantine
    (digest, reason, detail, message, origin, agent_name, batch_id, received_count, received_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, 1, %s)
ON CONFLICT (digest, reason) DO UPDATE
SET received_count = metering_quarantine.received_count + 1, detail = excluded.detail, released_at = NULL, released_by_id = NULL
"""


def put_refusal_in_quarantine(refusal: Refusal, *, now: datetime | None = None) -> None:
    """Keep what an agent refused, as it came to the agent."""
    _keep(refusal.message, refusal.reason, refusal.detail, {"refused by": refusal.agent}, (refusal.agent, None), now)


def put_in_quarantine(
    message: bytes, *, reason: str, detail: str, origin: dict[str, Any] | None = None, now: datetime | None = None
) -> None:
    """Keep a message with the reason why it was not accepted. One statement; repeats are counted, not kept again."""
    _keep(message, reason, detail, origin or {}, _claims(message), now)


def _keep(
    message: bytes,
    reason: str,
    detail: str,
    origin: dict[str, Any],
    claims: tuple[str, UUID | None],
    now: datetime | None,
) -> None:
    kept = message
    if len(message) > _KEPT_WHOLE_BYTES:
        kept = message[:_KEPT_START_BYTES]
        detail = f"{detail} (of {len(message)} bytes the first {len(kept)} are kept)"
    with connection.cursor() as cursor:
        cursor.execute(
            _UPSERT,
            [
                sha256(message).digest(),
                reason,
                _storable(detail),
                kept,
                Json(_storable(origin)),
                _storable(claims[0]),
                claims[1],
                now or timezone.now(),
            ],
        )


def _claims(message: bytes) -> tuple[str, UUID | None]:
    """Who the message says it is from; nothing of it is proved."""
    try:
        header = parse_batch(message).header
    except MessageRefused:
        return "", None
    return header.agent, header.id


def _storable(value: Any) -> Any:
    """Texts of the store can keep neither the character NUL nor half of a surrogate pair, and hostile headers may hold both."""
    if isinstance(value, dict):
        return {str(_storable(key)): _storable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_storable(item) for item in value]
    return (
        value.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\0") if isinstance(value, str) else value
    )
