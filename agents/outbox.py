"""The outbox: every batch is on local disk before the broker sees it, in order, and stays for a day after it was sent.

A broker's reply is not durability: what was sent can be sent again (``resend``), and the collector stores it once. The file also
holds the stream: its id and the digest of its last header, so that the chain of batches goes on across restarts.
"""

from __future__ import annotations

import contextlib
import fcntl
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid4

from metering.messages import Link, Origin, PrivateKey, Sample, derive_batch_id, seal_batch

__all__ = ["Outbox", "OutboxFull", "OutboxState", "Pending"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    sequence INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    due INTEGER NOT NULL,
    message BLOB NOT NULL,
    message_bytes INTEGER NOT NULL,
    made_at REAL NOT NULL,
    sent_at REAL
);
CREATE INDEX IF NOT EXISTS batch_unsent ON batch (sequence) WHERE sent_at IS NULL;
CREATE INDEX IF NOT EXISTS batch_source_due ON batch (source, due);
CREATE TABLE IF NOT EXISTS stream (
    id TEXT NOT NULL, last_sequence INTEGER NOT NULL, last_digest TEXT NOT NULL
);
"""


class OutboxFull(Exception):
    """Unsent batches fill the outbox: what was measured is kept, nothing more is taken until there is room."""


class Pending(NamedTuple):
    """A batch to send."""

    sequence: int
    message: bytes


class OutboxState(NamedTuple):
    """What lies in the outbox; ``oldest_unsent_at`` in Unix seconds, None when all is sent."""

    unsent: int
    unsent_bytes: int
    sent: int
    oldest_unsent_at: float | None
    stream: UUID
    last_sequence: int


class Outbox:
    """One agent's outbox. Safe for several threads and processes: each call is one transaction on the file."""

    def __init__(self, path: Path, *, key: PrivateKey, agent: str, max_bytes: int) -> None:
        self.path = path
        self._key = key
        self._agent = agent
        self._max_bytes = max_bytes
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            db.execute(
                "INSERT INTO stream (id, last_sequence, last_digest) SELECT ?, 0, '' WHERE NOT EXISTS (SELECT 1 FROM stream)",
                [str(uuid4())],
            )

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = sqlite3.connect(self.path, timeout=30, isolation_level=None)
        try:
            # FULL: a batch that was added survives a power cut; its loss would be a sample's loss.
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA synchronous=FULL")
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
            except BaseException:
                db.execute("ROLLBACK")
                raise
            db.execute("COMMIT")
        finally:
            db.close()

    def add(
        self,
        samples: Sequence[Sample],
        *,
        source: str,
        due: int,
        unit: str = "",
        labels: dict[str, str] | None = None,
        origins: Sequence[Origin] = (),
    ) -> UUID:
        """Seal samples as the stream's next batch and keep it. The same (source, due, unit) again is the same batch: the first counts.

        Raises OutboxFull.
        """
        batch_id = derive_batch_id(agent=self._agent, source=source, due=due, unit=unit)
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM batch WHERE id = ?", [str(batch_id)]).fetchone():
                return batch_id
            self._refuse_when_full(db)
            stream, last_sequence, last_digest = db.execute(
                "SELECT id, last_sequence, last_digest FROM stream"
            ).fetchone()
            sealed = seal_batch(
                samples,
                key=self._key,
                agent=self._agent,
                source=source,
                due=due,
                made=time.time_ns() // 1000,
                link=Link(UUID(stream), last_sequence + 1, last_digest),
                unit=unit,
                labels=labels,
                origins=origins,
            )
            message = sealed.to_bytes()
            db.execute(
                "INSERT INTO batch (sequence, id, source, due, message, message_bytes, made_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                [last_sequence + 1, str(batch_id), source, due, message, len(message), time.time()],
            )
            db.execute(
                "UPDATE stream SET last_sequence = ?, last_digest = ?", [last_sequence + 1, sealed.header_digest]
            )
        return batch_id

    def _refuse_when_full(self, db: sqlite3.Connection) -> None:
        (waiting,) = db.execute("SELECT coalesce(sum(message_bytes), 0) FROM batch WHERE sent_at IS NULL").fetchone()
        if waiting >= self._max_bytes:
            raise OutboxFull(
                f"{waiting} bytes wait in {self.path}, its bound is {self._max_bytes}: they are kept, and nothing more is "
                "measured until the broker takes them"
            )

    def last_due(self, source: str) -> int | None:
        """The latest due time (µs UTC) that a batch was made for, among those still kept."""
        with self._transaction() as db:
            due: int | None = db.execute("SELECT max(due) FROM batch WHERE source = ?", [source]).fetchone()[0]
        return due

    def unsent(self, *, limit: int) -> list[Pending]:
        """The oldest batches that were not sent yet, in order."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT sequence, message FROM batch WHERE sent_at IS NULL ORDER BY sequence LIMIT ?", [limit]
            ).fetchall()
        return [Pending(sequence, message) for sequence, message in rows]

    def mark_sent(self, sequences: Sequence[int], *, now: float) -> None:
        """Remember that the broker took these batches."""
        with self._transaction() as db:
            db.executemany("UPDATE batch SET sent_at = ? WHERE sequence = ?", [(now, number) for number in sequences])

    def resend(self, *, since: float = 0.0) -> int:
        """Mark batches made since that Unix time as not sent; return how many were."""
        with self._transaction() as db:
            return db.execute(
                "UPDATE batch SET sent_at = NULL WHERE sent_at IS NOT NULL AND made_at >= ?", [since]
            ).rowcount

    def prune(self, *, sent_before: float) -> int:
        """Forget batches sent before that Unix time; never one that waits, nor the newest. Return how many went."""
        with self._transaction() as db:
            return db.execute(
                "DELETE FROM batch WHERE sent_at < ? AND sequence < (SELECT last_sequence FROM stream)", [sent_before]
            ).rowcount

    def state(self) -> OutboxState:
        """What lies here now."""
        with self._transaction() as db:
            unsent, unsent_bytes, sent, oldest = db.execute(
                "SELECT count(*) FILTER (WHERE sent_at IS NULL), coalesce(sum(message_bytes) FILTER (WHERE sent_at IS NULL), 0),"
                " count(sent_at), min(made_at) FILTER (WHERE sent_at IS NULL) FROM batch"
            ).fetchone()
            stream, last_sequence = db.execute("SELECT id, last_sequence FROM stream").fetchone()
        return OutboxState(unsent, unsent_bytes, sent, oldest, UUID(stream), last_sequence)

    @contextlib.contextmanager
    def sending(self) -> Iterator[bool]:
        """Hold the right to send; yields False at once when another process holds it. It keeps batches in order."""
        with self.path.with_suffix(".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True
