"""Opening the next message while the store writes this one: a collector's own work hides behind the server's.

The worker says which message it will run next (``announce``), the writer when the server has its hands full (``begin``), and ingestion
takes what is ready by then (``take``). Only what follows from the bytes and from rows that never change is done ahead: whether a key
is (still) believed is looked up when the message's turn comes.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

from metering.messages import Body, EventBody, MessageRefused, PublicKey, SealedBatch, open_body, parse_batch

from .dimensions import DimensionIds
from .lines import Lines, lines_of

__all__ = ["Opened", "Opener", "open_message"]

_MOST_KEYS = 10_000


class Opened(NamedTuple):
    """A message whose signature fits ``key`` and whose body is the one that was signed.

    ``ids`` and ``lines``, if everything that it names was known: what the store calls it, and what is to be written.
    """

    sealed: SealedBatch
    key: PublicKey
    body: Body | EventBody
    ids: DimensionIds | None = None
    lines: Lines | None = None


def open_message(sealed: SealedBatch, key: PublicKey) -> Opened:
    """Verify the signature, then open the body. Raises MessageRefused."""
    key.verify(sealed.signature, sealed.header_bytes)
    return Opened(sealed, key, open_body(sealed))


class Opener:
    """One message ahead, in one thread. It uses only keys that were believed before: a stranger's body is not opened ahead."""

    def __init__(self, recall: Callable[[Body], DimensionIds | None]) -> None:
        self._recall = recall
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="opener")
        self._keys: dict[str, PublicKey] = {}
        self._announced: bytes | None = None
        self._begun: tuple[bytes, Future[Opened | None]] | None = None

    def learn(self, key: PublicKey) -> None:
        """Remember a key. Its id follows from its bytes, so memory never lies about it."""
        if len(self._keys) >= _MOST_KEYS:
            self._keys.clear()
        self._keys[key.id] = key

    def announce(self, message: bytes) -> None:
        """This message will be asked for next."""
        self._announced = message

    def begin(self) -> None:
        """Start on the announced message, if there is one."""
        message, self._announced = self._announced, None
        if message is not None:
            self._begun = message, self._thread.submit(self._open, message)

    def take(self, message: bytes) -> Opened | None:
        """The message opened, waiting for the thread if it has begun; None when it has not, or could not."""
        if message == self._announced:
            self._announced = None
        begun = self._begun
        if begun is None or begun[0] != message:
            return None
        self._begun = None
        return begun[1].result()

    def _open(self, message: bytes) -> Opened | None:
        try:
            sealed = parse_batch(message)
            key = self._keys.get(sealed.header.key)
            if key is None:
                return None
            opened = open_message(sealed, key)
            body = opened.body
            # What is left of a batch that was made from inputs, as events are, only the store knows.
            ids = self._recall(body) if isinstance(body, Body) else None
            if ids is None or body.origins:
                return opened
            rows = list(enumerate(body.rows))
            return opened._replace(ids=ids, lines=lines_of(sealed.header.id, body, ids, rows))
        except (MessageRefused, OverflowError):
            # Refused again, and told, when its turn comes.
            return None
