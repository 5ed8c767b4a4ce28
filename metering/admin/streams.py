"""What the chain of sequence numbers shows: which batches of an agent have not arrived."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from metering.messages import batch_id_at

__all__ = ["StreamRow", "recent_streams"]

_MOST_STREAMS = 50
_MOST_GAPS = 20
# One pass over the index (key_id, stream, sequence); a gap is where a number does not follow the one before it.
_STREAMS = """
SELECT stream, min(sequence), max(sequence), count(*), max(recorded_at),
       (array_agg(CASE WHEN previous + 2 = sequence THEN (previous + 1)::text
                       ELSE (previous + 1)::text || '–' || (sequence - 1)::text END ORDER BY sequence)
        FILTER (WHERE previous + 1 < sequence))[1:%s],
       count(*) FILTER (WHERE previous + 1 < sequence)
FROM (
    SELECT b.stream, b.sequence, b.recorded_at, lag(b.sequence) OVER (PARTITION BY b.key_id, b.stream ORDER BY b.sequence) AS previous
    FROM metering_batch b JOIN metering_agentkey k ON k.id = b.key_id
    WHERE k.agent_id = %s AND b.id >= %s
) numbered
GROUP BY stream ORDER BY max(recorded_at) DESC LIMIT %s
"""


class StreamRow(NamedTuple):
    """One stream's numbers since a time; ``gaps`` as text, such as ``7, 12–15``, empty when none is missing."""

    stream: UUID
    first_sequence: int
    last_sequence: int
    received_count: int
    last_at: datetime
    gaps: str


def recent_streams(agent_id: int, *, since: datetime) -> list[StreamRow]:
    """The agent's streams by their last batch, newest first, at most fifty. One statement."""
    floor = batch_id_at(int(since.timestamp() * 1_000_000))
    with connection.cursor() as cursor:
        cursor.execute(_STREAMS, [_MOST_GAPS, agent_id, floor, _MOST_STREAMS])
        rows = cursor.fetchall()
    return [StreamRow(*row[:5], gaps=_shown(row[5] or [], row[6])) for row in rows]


def _shown(gaps: list[str], count: int) -> str:
    more = f", and {count - len(gaps)} more" if count > len(gaps) else ""
    return ", ".join(gaps) + more
