"""What transformers remember, in Redis: one round trip loads all that a batch needs, one commits it, or nothing if another worker was
faster.

Every state carries a stamp that is drawn anew at each change. A commit names the stamps that it was computed from; a script on the server
compares them and writes all or nothing. What a unit of input gave is recorded in the same commit: a unit that comes again within a day
yields its record. Nothing stays for ever: a state goes ``STATE_SECONDS`` after it last changed, a record after ``RECORD_SECONDS``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

__all__ = ["RECORD_SECONDS", "STATE_SECONDS", "Change", "Loaded", "StateAway", "TransformState"]

RECORD_SECONDS = 24 * 3600
STATE_SECONDS = 8 * 24 * 3600
_TIMEOUT_SECONDS = 5.0
_STAMP_BYTES = 8
# One hash slot, so that a script may name all keys on a cluster, too.
_PREFIX = "{celometer}:transform:"
# A worker that took what was released and died has it offered to others after so long.
_OFFER_AGAIN_MICROSECONDS = 300 * 1_000_000

_COMMIT = f"""
local states, records, released = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 1, states do
  if redis.call('GETRANGE', KEYS[2 * i - 1], 0, {_STAMP_BYTES - 1}) ~= ARGV[3 * i + 2] then return 0 end
end
for i = 2 * states + 1, 2 * states + records do
  if redis.call('EXISTS', KEYS[i]) == 1 then return 0 end
end
for i = 1, states do
  local key, due_key, value, due = KEYS[2 * i - 1], KEYS[2 * i], ARGV[3 * i + 3], ARGV[3 * i + 4]
  if value == 'gone' then redis.call('DEL', key)
  elseif value ~= 'same' then redis.call('SET', key, value, 'EX', {STATE_SECONDS}) end
  if due == 'never' then redis.call('ZREM', due_key, key)
  else
    redis.call('ZADD', due_key, due, key)
    redis.call('EXPIRE', due_key, {STATE_SECONDS})
  end
end
local value = 3 * states + 4
for i = 1, records do
  redis.call('SET', KEYS[2 * states + i], ARGV[value + i], 'EX', {RECORD_SECONDS})
end
local key = 2 * states + records
value = value + records
for i = 1, released do
  redis.call('SET', KEYS[key + i], ARGV[value + i], 'EX', {STATE_SECONDS})
  redis.call('ZADD', KEYS[#KEYS], ARGV[4], KEYS[key + i])
end
return 1
"""

_TAKE = """
local keys = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[3])
for _, key in ipairs(keys) do redis.call('ZADD', KEYS[1], ARGV[2], key) end
return keys
"""


class StateAway(Exception):
    """The state server does not answer, or refuses: nothing is lost if the caller gives its task back and waits."""


class Loaded(NamedTuple):
    """A state as it was found: ``stamp`` b"" and ``value`` b"" where there was none."""

    stamp: bytes
    value: bytes


class Change(NamedTuple):
    """What becomes of a state that was loaded with ``stamp``.

    ``value`` None leaves it as it is, b"" removes it. ``due`` (µs UTC) is when it wants to be flushed, 0 for never.
    """

    stamp: bytes
    value: bytes | None
    due: int


class TransformState:
    """The states of all transformers. Safe for any number of workers. State ids are ``(pipeline's digest, resource's digest)``.

    All calls raise StateAway. Times are in µs UTC.
    """

    def __init__(self, url: str) -> None:
        """``url``: redis://…; nothing is connected yet. Raises ValueError."""
        # One retry, at once: for connections that a restart of the server has left dead. To wait is the caller's business.
        self._redis = redis.Redis.from_url(
            url,
            socket_timeout=_TIMEOUT_SECONDS,
            socket_connect_timeout=_TIMEOUT_SECONDS,
            retry=Retry(NoBackoff(), 1),
        )
        self._commit = self._redis.register_script(_COMMIT)
        self._take = self._redis.register_script(_TAKE)

    def load(
        self, states: Sequence[tuple[str, str]], records: Sequence[str]
    ) -> tuple[dict[tuple[str, str], Loaded], dict[str, bytes]]:
        """All these states, and those of the records that there are."""
        keys = [_state_key(*id) for id in states] + [f"{_PREFIX}record:{id}" for id in records]
        if not keys:
            return {}, {}
        with _away():
            values = self._redis.mget(keys)
        loaded = {}
        for id, value in zip(states, values, strict=False):
            loaded[id] = Loaded(value[:_STAMP_BYTES], value[_STAMP_BYTES:]) if value else Loaded(b"", b"")
        found = zip(records, values[len(states) :], strict=True)
        return loaded, {id: value for id, value in found if value is not None}

    def commit(
        self,
        changes: Mapping[tuple[str, str], Change],
        *,
        records: Mapping[str, bytes] = {},
        released: Mapping[str, bytes] = {},
        now: int = 0,
    ) -> bool:
        """Write all of it, or nothing and return False: one of the states has changed since, or one of the records is there already.

        ``released`` is what a flush set free, kept until ``settle``; it is offered by ``take_released`` from ``now`` on.
        """
        stamp = os.urandom(_STAMP_BYTES)
        keys: list[str] = []
        arguments: list[str | bytes | int] = [len(changes), len(records), len(released), now]
        for id, change in changes.items():
            keys += [_state_key(*id), _due_key(id[0])]
            value = b"same" if change.value is None else stamp + change.value if change.value else b"gone"
            arguments += [change.stamp, value, change.due or "never"]
        keys += [f"{_PREFIX}record:{id}" for id in records]
        keys += [f"{_PREFIX}released:{id}" for id in released]
        arguments += [*records.values(), *released.values()]
        with _away():
            return bool(self._commit(keys=[*keys, _RELEASED], args=arguments))

    def find_due(self, pipeline: str, *, now: int, limit: int) -> list[tuple[str, str]]:
        """Ids of states of the pipeline (its digest) that want to be flushed by now, the longest due first."""
        with _away():
            keys = self._redis.zrange(_due_key(pipeline), "-inf", now, byscore=True, offset=0, num=limit)
        return [(pipeline, key.decode().rpartition(":")[2]) for key in keys]

    def take_released(self, *, now: int, limit: int) -> dict[str, bytes]:
        """What flushes set free and nobody has settled; for five minutes it is offered to nobody else."""
        with _away():
            keys = self._take(keys=[_RELEASED], args=[now, now + _OFFER_AGAIN_MICROSECONDS, limit])
            values = self._redis.mget(keys) if keys else []
            gone = [key for key, value in zip(keys, values, strict=True) if value is None]
            if gone:
                self._redis.zrem(_RELEASED, *gone)
        found = zip(keys, values, strict=True)
        return {key.decode().rpartition(":")[2]: value for key, value in found if value is not None}

    def settle(self, released: Sequence[str]) -> None:
        """Forget what was released: it is where it belongs."""
        if released:
            keys = [f"{_PREFIX}released:{id}" for id in released]
            with _away():
                self._redis.pipeline().zrem(_RELEASED, *keys).delete(*keys).execute()

    def close(self) -> None:
        self._redis.close()


_RELEASED = f"{_PREFIX}released"


def _state_key(pipeline: str, resource: str) -> str:
    return f"{_PREFIX}state:{pipeline}:{resource}"


def _due_key(pipeline: str) -> str:
    return f"{_PREFIX}due:{pipeline}"


@contextmanager
def _away() -> Iterator[None]:
    try:
        yield
    except redis.RedisError as error:
        raise StateAway(f"the state server: {error}") from error
