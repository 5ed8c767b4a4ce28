"""From bytes to a believed batch: form, signature, key, body, then policy. Nothing is written here but read."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.conf import settings

from metering.messages import Body, EventBody, PublicKey, SealedBatch, from_microseconds, parse_batch, to_microseconds
from metering.models import AgentKey

from .errors import BeyondClockSkew, KeyNotValid, OutOfScope, TimeOutOfBounds, TooManyWeeks, UnknownKey
from .opening import Opened, open_message

__all__ = ["VerifiedBatch", "verify"]

_LAST_MICROSECOND = to_microseconds(datetime.max.replace(tzinfo=UTC))
_WEEK = 7 * 86_400 * 1_000_000
# 1970 began on a Thursday, weeks begin on Mondays.
_WEEK_OFFSET = 3 * 86_400 * 1_000_000


@dataclass(frozen=True)
class VerifiedBatch:
    """A batch whose every byte is bound to an enrolled key."""

    opened: Opened
    key: AgentKey

    @property
    def sealed(self) -> SealedBatch:
        return self.opened.sealed

    @property
    def body(self) -> Body | EventBody:
        return self.opened.body


def verify(message: bytes, *, now: datetime, waived: bool = False, opened: Opened | None = None) -> VerifiedBatch:
    """Believe a message or raise MessageRefused. ``waived`` skips policy, never signature or form. One query.

    ``opened``: the same message, if it was opened before.
    """
    sealed = opened.sealed if opened else parse_batch(message)
    header = sealed.header
    key = AgentKey.objects.find(header.key)
    if key is None:
        raise UnknownKey(f"key {header.key} of agent {header.agent!r}: not enrolled")
    if opened is None or opened.key.raw != bytes(key.public_key):
        opened = open_message(sealed, PublicKey(bytes(key.public_key)))
    if key.agent.name != header.agent:
        raise UnknownKey(f"key {header.key} belongs to agent {key.agent.name!r}, not to {header.agent!r}")
    batch = VerifiedBatch(opened, key)
    _check_times(batch, now)
    if not waived:
        _check_policy(batch, now)
    return batch


def _check_policy(batch: VerifiedBatch, now: datetime) -> None:
    key, header = batch.key, batch.sealed.header
    refusal = key.refusal_at(now)
    if refusal:
        raise KeyNotValid(refusal)
    latest = to_microseconds(now + settings.CELOMETER_CLOCK_SKEW)
    if header.made > latest or header.due > latest:
        raise BeyondClockSkew(
            f"batch was made at {_shown(header.made)}, due {_shown(header.due)}: the server's clock says {now:%Y-%m-%dT%H:%M:%S}"
        )
    _check_spread(batch)
    if key.allowed_sources or key.allowed_projects:
        _check_scope(batch, key)


def _check_scope(batch: VerifiedBatch, key: AgentKey) -> None:
    for source, project in sorted(batch.body.owners(), key=str):
        if key.allowed_sources and source not in key.allowed_sources:
            raise OutOfScope(f"source {source!r}: key {key.key_id} may sign for {', '.join(key.allowed_sources)}")
        if key.allowed_projects and project not in key.allowed_projects:
            raise OutOfScope(f"project {project!r}: key {key.key_id} may sign for {', '.join(key.allowed_projects)}")


def _check_spread(batch: VerifiedBatch) -> None:
    """Times that nothing was stored of need partitions: no agent may make thousands of them with one message."""
    most = settings.CELOMETER_MAX_BATCH_WEEKS
    times = batch.body.times
    if not times or (times[-1] - times[0]) // _WEEK < most:
        return
    weeks = len({(value + _WEEK_OFFSET) // _WEEK for value in times})
    if weeks > most:
        raise TooManyWeeks(
            f"{batch.sealed.header.kind} of {weeks} weeks: expected at most {most} in one batch; split it"
        )


def _check_times(batch: VerifiedBatch, now: datetime) -> None:
    """Bounds that even an operator cannot waive: outside them the store has no place."""
    floor = to_microseconds(settings.CELOMETER_FLOOR_DATE)
    latest = to_microseconds(now + settings.CELOMETER_FUTURE_BOUND)
    times = batch.body.times or [floor]
    noun = batch.sealed.header.kind.removesuffix("s")
    if batch.sealed.header.made > _LAST_MICROSECOND:
        raise TimeOutOfBounds(f"batch was made at {batch.sealed.header.made} µs: that is after the year 9999")
    for name, value in (
        ("batch is due", batch.sealed.header.due),
        (f"earliest {noun} is", times[0]),
        (f"latest {noun} is", times[-1]),
    ):
        if not floor <= value <= latest:
            raise TimeOutOfBounds(f"{name} at {_shown(value)}: expected {_shown(floor)} to {_shown(latest)}")


def _shown(value: int) -> str:
    """A time as people read it; one beyond the calendar as it stands."""
    try:
        return f"{from_microseconds(value):%Y-%m-%dT%H:%M:%S.%f}"
    except OverflowError:
        return f"{value} µs since 1970"
