"""The one transaction in which a batch becomes part of the store: ledger, origin keys, samples, rollup marks."""

from __future__ import annotations

from datetime import datetime

import psycopg2.errors
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.utils import IntegrityError

from .bulk import copy_rows, fetch_for_values
from .dimensions import DimensionIds
from .errors import PartitionMissing
from .verification import VerifiedBatch, from_microseconds

__all__ = ["COPY_MARKS", "COPY_SAMPLES", "Rows", "mark_lines", "rows_of", "sample_lines", "write_batch"]

_HOUR = 3600 * 1_000_000

_INSERT_BATCH = """
INSERT INTO metering_batch (id, key_id, source, stream, sequence, previous_digest, header_digest, header, signature,
                            due_at, made_at, recorded_at, sample_count, stored_count, first_sample_at, last_sample_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT DO NOTHING RETURNING id
"""
_INSERT_BODY = "INSERT INTO metering_batchbody (id, body) VALUES (%s, %s)"
_INSERT_ORIGINS = """
INSERT INTO metering_origin (source, key, batch_id, recorded_at) VALUES %s ON CONFLICT DO NOTHING RETURNING source, key
"""
COPY_SAMPLES = (
    "COPY metering_sample (timestamp, meter_id, retention_class, resource_id, state_id, id, volume) FROM STDIN"
)
COPY_MARKS = "COPY metering_rollupmark (hour, meter_id, batch_id) FROM STDIN"

# Rows by position, as the body holds them: (position, meter index, resource index, timestamp, volume).
Rows = list[tuple[int, int, int, int, str]]


def write_batch(batch: VerifiedBatch, ids: DimensionIds, *, now: datetime, with_body: bool = True) -> bool:
    """Write all of a batch, or nothing; its body only ``with_body``. False when its id is in the ledger already.

    Raises PartitionMissing.
    """
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            rows = _insert_origins(cursor, batch, now)
            if not _insert_ledger(cursor, batch, rows, now):
                # Also undoes the origin keys, should this batch have brought some that the first one did not.
                transaction.set_rollback(True)
                return False
            if with_body:
                cursor.execute(_INSERT_BODY, [batch.sealed.header.id, batch.sealed.body])
            copy_rows(cursor, COPY_SAMPLES, sample_lines(batch, ids, rows))
            copy_rows(cursor, COPY_MARKS, mark_lines(batch, ids, rows))
    except IntegrityError as error:
        # PostgreSQL has no code of its own for a row without a partition: it is a check violation without a constraint.
        cause = error.__cause__
        if isinstance(cause, psycopg2.errors.CheckViolation) and not cause.diag.constraint_name:
            raise PartitionMissing(str(error)) from error
        raise
    return True


def _insert_ledger(cursor: CursorWrapper, batch: VerifiedBatch, rows: Rows, now: datetime) -> bool:
    header, sealed = batch.sealed.header, batch.sealed
    times = [row[3] for row in rows]
    cursor.execute(
        _INSERT_BATCH,
        [
            header.id,
            batch.key.pk,
            header.source,
            header.stream,
            header.sequence,
            bytes.fromhex(header.previous),
            bytes.fromhex(sealed.header_digest),
            sealed.header_bytes,
            sealed.signature,
            from_microseconds(header.due),
            from_microseconds(header.made),
            now,
            header.count,
            len(rows),
            from_microseconds(min(times)) if times else None,
            from_microseconds(max(times)) if times else None,
        ],
    )
    return cursor.fetchone() is not None


def _insert_origins(cursor: CursorWrapper, batch: VerifiedBatch, now: datetime) -> Rows:
    """Claim the inputs that the batch was made from; return the rows of those that nobody had claimed before."""
    batch_id = batch.sealed.header.id
    claims = sorted({(source, key) for source, key, _ in _units_of(batch)})
    if not claims:
        return rows_of(batch, claimed=set())
    rows = [(source, key, batch_id, now) for source, key in claims]
    return rows_of(batch, claimed=set(fetch_for_values(cursor, _INSERT_ORIGINS, rows)))


def rows_of(batch: VerifiedBatch, *, claimed: set[tuple[str, str]]) -> Rows:
    """The rows of the inputs (source, key) that are the batch's own; all rows of a batch that was not made from inputs."""
    if not batch.body.origins:
        return [(position, *row) for position, row in enumerate(batch.body.rows)]
    left = set(claimed)
    kept: Rows = []
    for source, key, unit in _units_of(batch):
        if (source, key) in left:
            # A key that stands twice in one batch counts once, too.
            left.discard((source, key))
            kept += unit
    return kept


def _units_of(batch: VerifiedBatch) -> list[tuple[str, str, Rows]]:
    """Source, key and rows of each input."""
    body = batch.body
    rows = [(position, *row) for position, row in enumerate(body.rows)]
    first, units = 0, []
    for origin in body.origins:
        source = body.resources[body.rows[first][1]].source
        units.append((source, origin.key, rows[first : first + origin.sample_count]))
        first += origin.sample_count
    return units


def sample_lines(batch: VerifiedBatch, ids: DimensionIds, rows: Rows) -> str:
    """The rows in COPY's text format. Every field is a number, a time or an id: nothing needs escaping."""
    first_id = batch.sealed.header.id.int
    heads = {timestamp: f"{from_microseconds(timestamp).isoformat()}\t" for timestamp in {row[3] for row in rows}}
    meters = [f"{meter}\t{retention}\t" for meter, retention in zip(ids.meters, ids.classes, strict=True)]
    resources = [f"{resource}\t{state}\t" for resource, state in zip(ids.resources, ids.states, strict=True)]
    return "".join(
        [
            f"{heads[timestamp]}{meters[meter]}{resources[resource]}{first_id | position:032x}\t{volume}\n"
            for position, meter, resource, timestamp, volume in rows
        ]
    )


def mark_lines(batch: VerifiedBatch, ids: DimensionIds, rows: Rows) -> str:
    """A mark for each hour and meter that the rows touch, likewise."""
    batch_id = batch.sealed.header.id
    hours = {(timestamp - timestamp % _HOUR, ids.meters[meter]) for _, meter, _, timestamp, _ in rows}
    return "".join(f"{from_microseconds(hour).isoformat()}\t{meter}\t{batch_id}\n" for hour, meter in sorted(hours))
