"""The outbox: every batch is on local disk before the broker sees it, in order, and stays for a day after it was sent.

A broker's reply is not durability: what was sent can be sent again (``resend``), and the collector stores it once. The file also
holds the stream: its id and the digest of its last header, so that the chain of batches goes on across restarts.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from uuid import UUID, uuid4

from metering.messages import (
    BatchTooLarge,
    Event,
    Link,
    Origin,
    PrivateKey,
    Refusal,
    Sample,
    SealedBatch,
    derive_batch_id,
    seal_batch,
    seal_events,
)

__all__ = ["Outbox", "OutboxFull", "OutboxState", "Pending"]

logger = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batch (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    source TEXT NOT NULL,
    due INTEGER NOT NULL,
    message BLOB NOT NULL,
    message_bytes INTEGER NOT NULL,
    made_at REAL NOT NULL,
    sent_at REAL
);
CREATE INDEX IF NOT EXISTS batch_unsent ON batch (number) WHERE sent_at IS NULL;
CREATE INDEX IF NOT EXISTS batch_source_due ON batch (source, due);
CREATE TABLE IF NOT EXISTS stream (
    id TEXT NOT NULL, agent TEXT NOT NULL, key_id TEXT NOT NULL, last_sequence INTEGER NOT NULL, last_digest TEXT NOT NULL
);
"""


class OutboxFull(Exception):
    """Unsent batches fill the outbox: what was measured is kept, nothing more is taken until there is room."""


# Samples made from one input, under its origin key.
Made = tuple[str, Sequence[Sample]]
Entry = TypeVar("Entry")


class Pending(NamedTuple):
    """A batch to send; numbers grow with time."""

    number: int
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
        self._max_bytes = max_bytes
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._transaction() as db:
            for statement in _SCHEMA.split(";"):
                db.execute(statement)
            self.agent = _begin_stream(db, agent=agent, key_id=key.public.id)

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
        parts: Sequence[Sequence[Sample]],
        *,
        source: str,
        due: int,
        labels: dict[str, str] | None = None,
    ) -> int:
        """Seal each part of one poll as the stream's next batch and keep them, all or none; return how many batches there are.

        The same (source, due) again is the same poll: the first counts. A part too large for one batch is halved. Raises OutboxFull.
        """
        with self._transaction() as db:
            done = db.execute("SELECT count(*) FROM batch WHERE source = ? AND due = ?", [source, due]).fetchone()[0]
            if done:
                return int(done)
            self._refuse_when_full(db)

            def seal(samples: Sequence[Sample], made: int, link: Link) -> SealedBatch:
                return seal_batch(samples, unit=str(made), labels=labels, **self._signed_as(source, due, link))

            return self._seal_parts(db, parts, seal, made=0)

    def keep(
        self,
        *,
        source: str,
        due: int,
        unit: str,
        units: Sequence[Sequence[Made]] = (),
        events: Sequence[Sequence[Event]] = (),
        refusals: Sequence[Refusal] = (),
    ) -> None:
        """Seal what one piece of work made of its inputs: each part as a batch of its own, all or none of it.

        The same (source, due, unit) again is the same work done again: the first counts. Raises OutboxFull.
        """
        refusal_id = f"refusal {due}/{unit}"
        first = [str(derive_batch_id(agent=self.agent, source=source, due=due, unit=f"{unit}/0")), f"{refusal_id}/0"]
        with self._transaction() as db:
            if db.execute("SELECT 1 FROM batch WHERE id IN (?, ?)", first).fetchone():
                return
            self._refuse_when_full(db)

            def seal_units(part: Sequence[Made], made: int, link: Link) -> SealedBatch:
                samples = [sample for _, own in part for sample in own]
                origins = [Origin(key, len(own)) for key, own in part]
                return seal_batch(samples, origins=origins, unit=f"{unit}/{made}", **self._signed_as(source, due, link))

            def seal_some(part: Sequence[Event], made: int, link: Link) -> SealedBatch:
                return seal_events(part, unit=f"{unit}/{made}", **self._signed_as(source, due, link))

            made = self._seal_parts(db, units, seal_units, made=0)
            self._seal_parts(db, events, seal_some, made=made)
            for number, refusal in enumerate(refusals):
                _insert(db, f"{refusal_id}/{number}", source=source, due=due, message=refusal.to_bytes())

    def _signed_as(self, source: str, due: int, link: Link) -> dict[str, Any]:
        return {
            "key": self._key,
            "agent": self.agent,
            "source": source,
            "due": due,
            "made": time.time_ns() // 1000,
            "link": link,
        }

    def _seal_parts(
        self,
        db: sqlite3.Connection,
        parts: Sequence[Sequence[Entry]],
        seal: Callable[[Sequence[Entry], int, Link], SealedBatch],
        *,
        made: int,
    ) -> int:
        """Add each part as the stream's next batch, halved where it is too large; return how many batches there are with ``made``."""
        waiting = list(parts)[::-1]
        while waiting:
            part = waiting.pop()
            stream, sequence, digest = db.execute("SELECT id, last_sequence, last_digest FROM stream").fetchone()
            try:
                sealed = seal(part, made, Link(UUID(stream), sequence + 1, digest))
            except BatchTooLarge:
                if len(part) == 1:
                    raise
                waiting += [part[len(part) // 2 :], part[: len(part) // 2]]
                continue
            header = sealed.header
            _insert(db, str(header.id), source=header.source, due=header.due, message=sealed.to_bytes())
            db.execute("UPDATE stream SET last_sequence = ?, last_digest = ?", [sequence + 1, sealed.header_digest])
            made += 1
        return made

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

    def unsent(self, *, limit: int, after: int = 0) -> list[Pending]:
        """The oldest batches numbered above ``after`` that were not sent yet, in order."""
        with self._transaction() as db:
            rows = db.execute(
                "SELECT number, message FROM batch WHERE sent_at IS NULL AND number > ? ORDER BY number LIMIT ?",
                [after, limit],
            ).fetchall()
        return [Pending(number, message) for number, message in rows]

    def mark_sent(self, numbers: Sequence[int], *, now: float) -> None:
        """Remember that the broker took these batches."""
        with self._transaction() as db:
            db.executemany("UPDATE batch SET sent_at = ? WHERE number = ?", [(now, number) for number in numbers])

    def resend(self, *, since: float = 0.0) -> int:
        """Mark batches made since that Unix time as not sent; return how many were."""
        with self._transaction() as db:
            return db.execute(
                "UPDATE batch SET sent_at = NULL WHERE sent_at IS NOT NULL AND made_at >= ?", [since]
            ).rowcount

    def prune(self, *, now: float, keep_seconds: float) -> int:
        """Forget batches sent longer ago than ``keep_seconds``; never one that waits. Return how many went.

        One that seems to be sent in the future was sent while the clock was wrong, and counts as old.
        """
        with self._transaction() as db:
            return db.execute(
                "DELETE FROM batch WHERE sent_at < ? OR sent_at > ?", [now - keep_seconds, now + keep_seconds]
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


def _insert(db: sqlite3.Connection, row_id: str, *, source: str, due: int, message: bytes) -> None:
    db.execute(
        "INSERT INTO batch (id, source, due, message, message_bytes, made_at) VALUES (?, ?, ?, ?, ?, ?)",
        [row_id, source, due, message, len(message), time.time()],
    )


def _begin_stream(db: sqlite3.Connection, *, agent: str, key_id: str) -> str:
    """Go on with the stream that is here, or begin one; return the agent's name.

    An agent keeps the name that it began with, whatever its host is called by now: its key is enrolled under that name. A key that was
    replaced begins a new stream.
    """
    stream = db.execute("SELECT agent, key_id FROM stream").fetchone()
    if stream and stream[0] != agent:
        logger.warning(
            "this host is called %s now; it goes on as the agent %s, which its key is enrolled for", agent, stream[0]
        )
        agent = stream[0]
    if not stream or stream[1] != key_id:
        db.execute("DELETE FROM stream")
        db.execute(
            "INSERT INTO stream (id, agent, key_id, last_sequence, last_digest) VALUES (?, ?, ?, 0, '')",
            [str(uuid4()), agent, key_id],
        )
    return agent
