"""Writing a batch's samples again, from the ledger: what stands in the store afterwards is what was signed."""

from __future__ import annotations

from django.db import connection, transaction

from metering.messages import PublicKey, SealedBatch, parse_batch, sample_id, to_microseconds
from metering.models import Batch, BatchBody, Origin
from metering.retention.floors import read_floors

from .bulk import copy_rows
from .dimensions import Dimensions
from .lines import COPY_MARKS, COPY_SAMPLES, lines_of
from .opening import open_message
from .verification import VerifiedBatch
from .writer import rows_of

__all__ = ["open_batch", "remove_strays", "rewrite_samples"]

# Times of the samples are looked for, too: only they are indexed.
_REMOVE = "DELETE FROM metering_sample WHERE id BETWEEN %s AND %s RETURNING date_trunc('hour', timestamp, 'UTC'), meter_id, %s"
# A sample's id is its batch's with the position in the last five hex digits.
_REMOVE_STRAYS = """
DELETE FROM metering_sample s WHERE NOT EXISTS (
    SELECT FROM metering_batch b WHERE b.id = (left(s.id::text, 31) || '00000')::uuid)
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


def rewrite_samples(batch: VerifiedBatch, dimensions: Dimensions) -> int:
    """Replace the batch's samples by those it was signed with, and mark their hours, in one transaction. How many there are.

    What lies below the floor of its class has been dropped and stays so.
    """
    ids = dimensions.resolve(batch.body)
    first = batch.sealed.header.id
    claimed = set(Origin.objects.filter(batch_id=first).values_list("source", "key"))
    by_class = read_floors().by_class
    floors = [by_class.get(class_id) for class_id in ids.classes]
    lowest = [to_microseconds(floor) if floor else None for floor in floors]
    rows = [
        (position, row)
        for position, row in rows_of(batch, claimed=claimed)
        if lowest[row[0]] is None or row[2] >= lowest[row[0]]
    ]
    lines = lines_of(first, batch.body, ids, rows)
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"WITH gone AS ({_REMOVE}) {_MARK}", [first, sample_id(first, 0xFFFFF), first])
        copy_rows(cursor, COPY_SAMPLES, lines.samples)
        copy_rows(cursor, COPY_MARKS, lines.marks)
    return len(rows)


def remove_strays() -> int:
    """Delete samples that no batch has, and mark their hours. How many there were."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"WITH gone AS ({_REMOVE_STRAYS}), marked AS ({_MARK}) SELECT count(*) FROM gone")
        (count,) = cursor.fetchone()
    return count
