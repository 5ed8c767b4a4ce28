"""Letting go of what is past its time: by whole partitions, without making anybody wait.

First the floor is raised: from then on collectors refuse what is older. Then each partition is detached CONCURRENTLY, which
waits for whoever uses the table without a lock that others would queue behind, and the table that is left is dropped: nobody can
reach it any more. A wait that lasts too long is given up and taken up again by a later round; so is what a killed round left behind.

Another table that is partitioned by time joins in as a Parent of ``partitions`` and a line in ``_cutoffs``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from django.conf import settings
from django.db import OperationalError, connection

from metering.messages import Kind
from metering.retention.floors import (
    BODIES,
    EVENTS,
    LEDGER,
    ORIGINS,
    QUARANTINE,
    RAW,
    ROLLUPS,
    raise_floor,
    read_floors,
    samples_of,
)
from metering.retention.policy import Policy, cutoff, read_policy

from .alterations import alter, lacks_lock, patiently
from .catalogue import Partition, list_leftovers, list_partitions
from .locks import Job, holding
from .partitions import EVENTS as EVENTS_PARENTS
from .partitions import LEDGER as LEDGER_PARENTS
from .partitions import Parent, list_parents, samples_parents, week_of

__all__ = ["Plan", "drop_expired", "plan_retention"]

logger = logging.getLogger(__name__)
# A task is bounded to some 20 seconds: what is left is done by the next round.
_PARTITIONS_PER_RUN = 20
_ROWS_PER_DELETE = 5_000
_DELETES_PER_RUN = 20
_ROWS = {
    ORIGINS: ("metering_origin", "recorded_at"),
    QUARANTINE: ("metering_quarantine", "received_at"),
}


@dataclass(frozen=True)
class Plan:
    """What is due to go: ``cutoffs`` are the floors to come, ``rows`` count single rows by subject."""

    partitions: list[Partition]
    cutoffs: dict[str, datetime] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)


def plan_retention(now: datetime) -> Plan:
    """What a round at this time would drop in the end; nothing is changed. Raises BadRetentionFile."""
    cutoffs = _cutoffs(read_policy(), now)
    floors = _with_rollups(read_floors().by_subject | cutoffs)
    partitions = [p for p in list_partitions(list_parents()) if p.parent.subject != LEDGER and _is_below(p, floors)]
    going = {partition.name for partition in partitions}
    headers = _expired_headers(floors, leaving=going)
    rows = {subject: _count(subject, before=cutoffs[subject]) for subject in _ROWS if subject in cutoffs}
    return Plan([*partitions, *headers], cutoffs, rows)


def drop_expired(now: datetime) -> list[str]:
    """Drop what is past its time, a bounded amount; return what was dropped. Nothing when another session does it already.

    Raises BadRetentionFile.
    """
    with holding(Job.RETENTION) as mine:
        if not mine:
            return []
        cutoffs = _cutoffs(read_policy(), now)
        before = read_floors().by_subject
        for subject in cutoffs.keys() - _ROWS.keys():
            if _is_behind(before.get(subject), cutoffs[subject]):
                raise_floor(subject, cutoffs[subject])
        dropped = _drop_partitions()
        for subject in _ROWS.keys() & cutoffs.keys():
            if _is_behind(before.get(subject), cutoffs[subject]):
                _delete_rows(subject, before=cutoffs[subject])
    return dropped


def _cutoffs(policy: Policy, now: datetime) -> dict[str, datetime]:
    """The floor that each subject should have: on a boundary of partitions, and none where nothing can have been stored before."""
    keeps = {samples_of(rule.name): rule.keep for rule in policy.classes}
    keeps |= {
        EVENTS: policy.events,
        RAW: policy.raw,
        BODIES: policy.bodies,
        ORIGINS: policy.origins,
        QUARANTINE: policy.quarantine,
    }
    wanted = {subject: week_of(cutoff(now, keep)) for subject, keep in keeps.items() if keep is not None}
    return {subject: moment for subject, moment in wanted.items() if moment > settings.CELOMETER_FLOOR_DATE}


def _with_rollups(floors: dict[str, datetime]) -> dict[str, datetime]:
    """The floors, and where rollups may go: when those of all classes have passed; none while one class has none."""
    classes = [floors.get(parent.subject) for parent in samples_parents()]
    known = [floor for floor in classes if floor is not None]
    return floors | {ROLLUPS: min(known)} if known and len(known) == len(classes) else floors


def _is_behind(floor: datetime | None, wanted: datetime) -> bool:
    return floor is None or floor < wanted


def _is_below(partition: Partition, floors: dict[str, datetime]) -> bool:
    floor = floors.get(partition.parent.subject)
    return floor is not None and partition.high <= floor


def _drop_partitions() -> list[str]:
    parents = list_parents()
    floors = _with_rollups(read_floors().by_subject)
    present = list_partitions(parents)
    dropped = [name for parent in parents for name in _drop_leftovers(parent, floors)]
    # One that was being detached when its round was stopped comes first: until it is done, no other of its table can be.
    due = [p for p in present if p.is_detaching or (p.parent.subject != LEDGER and _is_below(p, floors))]
    dropped += _drop_all(sorted(due, key=lambda p: not p.is_detaching)[:_PARTITIONS_PER_RUN])
    headers = _expired_headers(floors)
    if headers:
        raise_floor(LEDGER, max(partition.high for partition in headers))
        dropped += _drop_all(headers[:_PARTITIONS_PER_RUN])
    return dropped


def _drop_leftovers(parent: Parent, floors: dict[str, datetime]) -> list[str]:
    """Drop what was detached and left. Above its floor a table of such a name is somebody else's."""
    floor = floors.get(parent.subject)
    dropped = []
    for left in list_leftovers(parent):
        if floor is None or left.low >= floor:
            continue
        try:
            if _is_needed_after_all(left):
                continue
            alter(f"DROP TABLE {left.name}")
        except OperationalError as error:
            if not lacks_lock(error):
                raise
            logger.info("%s is in use: it goes in a later round", left.name)
            continue
        logger.info("dropped %s, which was detached before", left.name)
        dropped.append(left.name)
    return dropped


def _drop_all(partitions: Sequence[Partition]) -> list[str]:
    dropped = []
    for partition in partitions:
        with holding(Job.PARTITIONS) as mine:
            if not mine:
                logger.info("partitions are being made: %s goes in a later round", partition.name)
                break
            try:
                _detach(partition)
                if _is_needed_after_all(partition):
                    continue
                patiently(partial(alter, f"DROP TABLE {partition.name}"))
            except OperationalError as error:
                if not lacks_lock(error):
                    raise
                logger.info("%s is in use: it goes in a later round", partition.name)
                break
        logger.info("dropped %s, %s to %s", partition.name, partition.low.date(), partition.high.date())
        dropped.append(partition.name)
    return dropped


def _detach(partition: Partition) -> None:
    how = "FINALIZE" if partition.is_detaching else "CONCURRENTLY"
    try:
        alter(f"ALTER TABLE {partition.parent.table} DETACH PARTITION {partition.name} {how}")
    except OperationalError as error:
        if not lacks_lock(error):
            raise
        # Already out of everybody's sight, unless the first lock was not got: then there is nothing to finish yet.
        found = [p for p in list_partitions([partition.parent]) if p.name == partition.name]
        if not (found and found[0].is_detaching):
            raise
        alter(f"ALTER TABLE {partition.parent.table} DETACH PARTITION {partition.name} FINALIZE")


def _is_needed_after_all(partition: Partition) -> bool:
    """A header may have been written between our look and the detaching, for what is still kept: then it goes back."""
    if partition.parent.subject != LEDGER or not _describes_kept(partition, _oldest_kept()):
        return False
    low, high = partition.parent.bound(partition.low), partition.parent.bound(partition.high)
    patiently(
        partial(
            alter,
            f"ALTER TABLE {partition.parent.table} ATTACH PARTITION {partition.name} FOR VALUES FROM ('{low}') TO ('{high}')",
        )
    )
    return True


def _expired_headers(
    floors: dict[str, datetime], *, leaving: set[str] | frozenset[str] = frozenset()
) -> list[Partition]:
    """Headers go when every class's floor has passed them and nothing of theirs is left (but in partitions that are leaving)."""
    lowest = floors.get(ROLLUPS)
    if lowest is None:
        return []
    headers = [p for p in list_partitions(LEDGER_PARENTS) if p.parent.subject == LEDGER]
    oldest = _oldest_kept(leaving)
    return [p for p in headers if p.high <= lowest and not _describes_kept(p, oldest)]


def _oldest_kept(leaving: set[str] | frozenset[str] = frozenset()) -> dict[Kind, datetime]:
    """Where the oldest partition of samples, and of events, begins that is there and stays."""
    tables: dict[Kind, tuple[Parent, ...]] = {"samples": samples_parents(), "events": EVENTS_PARENTS[:1]}
    lows = {
        kind: [p.low for p in list_partitions(parents) if p.name not in leaving] for kind, parents in tables.items()
    }
    return {kind: min(found) for kind, found in lows.items() if found}


def _describes_kept(headers: Partition, oldest: dict[Kind, datetime]) -> bool:
    """Whether what any of these headers describes reaches up to the oldest of its kind that is kept."""
    with connection.cursor() as cursor:
        for kind, low in oldest.items():
            cursor.execute(
                f"SELECT EXISTS (SELECT FROM {headers.name} WHERE kind = %s AND last_sample_at >= %s)", [kind, low]
            )
            if cursor.fetchone()[0]:
                return True
    return False


def _count(subject: str, *, before: datetime) -> int:
    table, column = _ROWS[subject]
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {table} WHERE {column} < %s", [before])
        return int(cursor.fetchone()[0])


def _delete_rows(subject: str, *, before: datetime) -> None:
    """Delete single rows in bounded statements; the floor is raised when none is left, so that no round looks again in vain."""
    table, column = _ROWS[subject]
    sql = f"DELETE FROM {table} WHERE ctid = ANY(ARRAY(SELECT ctid FROM {table} WHERE {column} < %s LIMIT {_ROWS_PER_DELETE}))"
    for _ in range(_DELETES_PER_RUN):
        with connection.cursor() as cursor:
            cursor.execute(sql, [before])
            if cursor.rowcount:
                logger.info("deleted %s rows of %s from before %s", cursor.rowcount, table, before.date())
            if cursor.rowcount < _ROWS_PER_DELETE:
                raise_floor(subject, before)
                return
