"""Writing a batch's samples again, from the ledger: what stands in the store afterwards is what was signed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import connection, transaction

from metering.messages import PublicKey, SealedBatch, from_microseconds, parse_batch, sample_id, to_microseconds
from metering.models import Batch, BatchBody, Origin
from metering.retention.floors import read_floors

from .bulk import copy_rows
from .dimensions import Dimensions
from .lines import COPY_MARKS, COPY_SAMPLES, Rows, lines_of
from .opening import open_message
from .verification import VerifiedBatch
from .writer import rows_of

__all__ = ["ledger_columns", "open_batch", "remove_strays", "rewrite_samples", "stored_rows"]

# Only times are indexed. What lies elsewhere under one of these ids is a stray.
_REMOVE = """
DELETE FROM metering_sample WHERE id BETWEEN %s AND %s AND timestamp BETWEEN %s AND %s
RETURNING date_trunc('hour', timestamp, 'UTC'), meter_id, %s
"""
# A sample's id is its batch's with the position in the last five hex digits.
_REMOVE_STRAYS = """
DELETE FROM metering_sample s WHERE NOT EXISTS (
    SELECT FROM metering_batch b WHERE b.id = (left(s.id::text, 31) || '00000')::uuid
    AND s.timestamp BETWEEN b.first_sample_at AND b.last_sample_at)
RETURNING date_trunc('hour', timestamp, 'UTC'), meter_id, id
"""
_MARK = "INSERT INTO metering_rollupmark (hour, meter_id, batch_id) SELECT DISTINCT * FROM gone"


def open_batch(batch: Batch) -> VerifiedBatch | None:
    """The batch as it was signed, its signature checked again; None when its body is not kept any more. Raises MessageRefused."""
    body = BatchBody.objects.filter(pk=batch.pk).first()
    if body is None:
        return None
    # Only the bytes count here: the header is read from them anew.
    stored = SealedBatch(None, bytes(batch.header), bytes(batch.signature), bytes(body.body))  # type: ignore[arg-type]
    sealed = parse_batch(stored.to_bytes())
    return VerifiedBatch(open_message(sealed, PublicKey(bytes(batch.key.public_key))), batch.key)


def stored_rows(batch: Batch, signed: VerifiedBatch) -> Rows | None:
    """The rows that were stored of a batch: all, without those of inputs that had been metered before.

    None when nobody knows any more which those were: origin keys are not kept for ever.
    """
    everything = list(enumerate(signed.body.rows))
    if not signed.body.origins:
        return everything
    claimed = set(Origin.objects.filter(batch_id=batch.pk).values_list("source", "key"))
    for rows in (rows_of(signed, claimed=claimed), everything):
        if len(rows) == batch.stored_count:
            return rows
    return None


def ledger_columns(signed: VerifiedBatch, times: Sequence[int]) -> dict[str, Any]:
    """What the ledger's columns must be beside the signed header: they follow from it, and from the times of what was stored."""
    header = signed.sealed.header
    return {
        "kind": header.kind,
        "source": header.source,
        "stream": header.stream,
        "sequence": header.sequence,
        "previous_digest": bytes.fromhex(header.previous),
        "header_digest": bytes.fromhex(signed.sealed.header_digest),
        "due_at": from_microseconds(header.due),
        "made_at": from_microseconds(header.made),
        "sample_count": header.count,
        "stored_count": len(times),
        "first_sample_at": from_microseconds(min(times)) if times else None,
        "last_sample_at": from_microseconds(max(times)) if times else None,
    }


def rewrite_samples(batch: VerifiedBatch, stored: Rows, dimensions: Dimensions) -> int:
    """Replace the batch's samples by the rows that were stored of it, and mark their hours, in one transaction. How many there are.

    The ledger's columns are set right, too. What lies below the floor of its class has been dropped and stays so.
    """
    ids = dimensions.resolve(batch.body)
    first = batch.sealed.header.id
    columns = ledger_columns(batch, [row[2] for _, row in stored])
    by_class = read_floors().by_class
    floors = [by_class.get(class_id) for class_id in ids.classes]
    lowest = [to_microseconds(floor) if floor else None for floor in floors]
    rows = [(position, row) for position, row in stored if (floor := lowest[row[0]]) is None or row[2] >= floor]
    lines = lines_of(first, batch.body, ids, rows)
    with transaction.atomic(), connection.cursor() as cursor:
        # Holds the row: two rebuilds at once would both find the old samples, and both write new ones.
        Batch.objects.filter(pk=first).update(**columns)
        span = columns["first_sample_at"], columns["last_sample_at"]
        cursor.execute(f"WITH gone AS ({_REMOVE}) {_MARK}", [first, sample_id(first, 0xFFFFF), *span, first])
        copy_rows(cursor, COPY_SAMPLES, lines.samples)
        copy_rows(cursor, COPY_MARKS, lines.marks)
    return len(rows)


def remove_strays() -> int:
    """Delete samples that no batch has, or not at their time, and mark their hours. How many there were."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"WITH gone AS ({_REMOVE_STRAYS}), marked AS ({_MARK}) SELECT count(*) FROM gone")
        (count,) = cursor.fetchone()
    return count
