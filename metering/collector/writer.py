"""The one transaction in which a batch becomes part of the store: ledger, and origin keys, samples, rollup marks; or events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg2.errors
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.utils import IntegrityError

from metering.messages import Body, EventBody, from_microseconds

from .admission import Admitted
from .bulk import copy_rows, fetch_for_values
from .dimensions import DimensionIds
from .errors import PartitionMissing
from .event_dimensions import EventIds
from .event_writer import insert_events
from .lines import COPY_MARKS, COPY_SAMPLES, Rows, lines_of
from .verification import VerifiedBatch

__all__ = ["rows_of", "write_batch"]

# Header and body in one statement: each statement is a journey.
_INSERT_BATCH = """
WITH batch AS (
    INSERT INTO metering_batch (id, kind, key_id, source, stream, sequence, previous_digest, header_digest, header, signature,
                                due_at, made_at, recorded_at, sample_count, stored_count, first_sample_at, last_sample_at)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING RETURNING id
), body AS (
    INSERT INTO metering_batchbody (id, body) SELECT id, %s FROM batch WHERE %s
)
SELECT id FROM batch
"""
_INSERT_ORIGINS = """
INSERT INTO metering_origin (source, key, batch_id, recorded_at) VALUES %s ON CONFLICT DO NOTHING RETURNING source, key
"""


def write_batch(
    batch: VerifiedBatch,
    ids: DimensionIds | EventIds,
    *,
    now: datetime,
    admitted: Admitted,
    meanwhile: Callable[[], None],
) -> bool:
    """Write all of a batch that has not been stored before, or nothing. False when its id is in the ledger already.

    ``meanwhile`` is called when the server is busy and this process is not. Raises PartitionMissing.
    """
    write = _write_events if isinstance(batch.body, EventBody) else _write_samples
    with _telling_missing_partitions(), transaction.atomic(), connection.cursor() as cursor:
        is_new = write(cursor, batch, ids, now, admitted, meanwhile)
        if not is_new:
            # Also undoes the origin keys or events, should this batch have brought some that the first one did not.
            transaction.set_rollback(True)
        return is_new


@contextmanager
def _telling_missing_partitions() -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        # PostgreSQL has no code of its own for a row without a partition: it is a check violation without a constraint.
        cause = error.__cause__
        if isinstance(cause, psycopg2.errors.CheckViolation) and not cause.diag.constraint_name:
            raise PartitionMissing(str(error)) from error
        raise


def _write_samples(
    cursor: CursorWrapper,
    batch: VerifiedBatch,
    ids: DimensionIds,
    now: datetime,
    admitted: Admitted,
    meanwhile: Callable[[], None],
) -> bool:
    body: Body = batch.body
    rows = _insert_origins(cursor, batch, now)
    # With origin keys, fewer than all may be new.
    times = body.times if len(rows) == len(body.rows) else sorted({row[2] for _, row in rows})
    if not _insert_ledger(cursor, batch, len(rows), times, now=now, with_body=admitted.with_body):
        return False
    lines = batch.opened.lines or lines_of(batch.sealed.header.id, body, ids, rows)
    copy_rows(cursor, COPY_SAMPLES, lines.samples, meanwhile=meanwhile)
    copy_rows(cursor, COPY_MARKS, lines.marks)
    return True


def _write_events(
    cursor: CursorWrapper,
    batch: VerifiedBatch,
    ids: EventIds,
    now: datetime,
    admitted: Admitted,
    meanwhile: Callable[[], None],
) -> bool:
    """An event's key in the store is its origin key, so events are written first: how many are new, only that tells."""
    entries = list(enumerate(batch.body.events))
    new = insert_events(cursor, batch.sealed.header.id, entries, ids, raw_from=admitted.raw_from, meanwhile=meanwhile)
    times = sorted({event.generated for _, event in new})
    return _insert_ledger(cursor, batch, len(new), times, now=now, with_body=admitted.with_body)


def _insert_ledger(
    cursor: CursorWrapper, batch: VerifiedBatch, stored: int, times: list[int], *, now: datetime, with_body: bool
) -> bool:
    """False when the id is there already. ``times``: of what is stored, ascending."""
    header, sealed = batch.sealed.header, batch.sealed
    cursor.execute(
        _INSERT_BATCH,
        [
            header.id,
            header.kind,
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
            stored,
            from_microseconds(times[0]) if times else None,
            from_microseconds(times[-1]) if times else None,
            sealed.body,
            with_body,
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
        return list(enumerate(batch.body.rows))
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
    rows = list(enumerate(body.rows))
    first, units = 0, []
    for origin in body.origins:
        source = body.resources[body.rows[first][1]].source
        units.append((source, origin.key, rows[first : first + origin.sample_count]))
        first += origin.sample_count
    return units
