"""Which deliveries are handed out next, and for how long."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db import connection, transaction

from alarms.models import Attempt

__all__ = ["LONGEST_LEASE_SECONDS", "Leased", "lease_due"]

# An attempt takes ten seconds at most; the rest is for the queue. Each attempt that nobody reported on doubles the next lease, so that a
# message that waits in the queue because no notifier runs is not put there again and again. Shorter than the five minutes for which a
# receiver takes a signature.
_LEASE_SECONDS = 60
LONGEST_LEASE_SECONDS = 240
# How much may be with notifiers at one time: in all, of a project, for one receiver, and of a project for one receiver. A notifier makes 64
# attempts at once, and one that hangs holds its place for ten seconds.
_IN_FLIGHT = 256
_OF_PROJECT = 16
_FOR_RECEIVER = 32
_OF_PROJECT_FOR_RECEIVER = 8

# One pass over what is open finds what is first in its line (of one alarm and URL), and what is out. Then each bound in turn leaves out
# what is beyond it, so that what waits for one receiver takes no place from the others. Projects take turns. Nothing here is joined: of a
# thousand deliveries that have just been made the planner knows nothing yet, and would compare each with each.
_LEASE = """
WITH open AS MATERIALIZED (
    SELECT id, number, project_id, receiver, due_at, leased_until,
        row_number() OVER (PARTITION BY alarm_id, url COLLATE "C" ORDER BY number) AS line
    FROM alarms_delivery WHERE ended_at IS NULL
), out AS MATERIALIZED (
    SELECT project_id, receiver, count(*) AS count FROM open WHERE leased_until > %(now)s GROUP BY project_id, receiver
), by_both AS (
    SELECT *, coalesce((SELECT count FROM out WHERE out.project_id = open.project_id AND out.receiver = open.receiver), 0)
        + row_number() OVER (PARTITION BY project_id, receiver ORDER BY due_at, number) AS place
    FROM open WHERE line = 1 AND due_at <= %(now)s AND (leased_until IS NULL OR leased_until <= %(now)s)
), by_project AS (
    SELECT id, number, project_id, receiver, due_at,
        coalesce((SELECT sum(count) FROM out WHERE out.project_id = by_both.project_id), 0)
        + row_number() OVER (PARTITION BY project_id ORDER BY due_at, number) AS turn
    FROM by_both WHERE place <= %(of_project_for_receiver)s
), by_receiver AS (
    SELECT id, turn, due_at, number,
        coalesce((SELECT sum(count) FROM out WHERE out.receiver = by_project.receiver), 0)
        + row_number() OVER (PARTITION BY receiver ORDER BY turn, due_at, number) AS place
    FROM by_project WHERE turn <= %(of_project)s
), chosen AS MATERIALIZED (
    SELECT id FROM alarms_delivery
    WHERE id = ANY (ARRAY(
            SELECT id FROM by_receiver WHERE place <= %(for_receiver)s ORDER BY turn, due_at, number
            LIMIT greatest(0, %(in_flight)s - (SELECT coalesce(sum(count), 0) FROM out))
        ))
        AND ended_at IS NULL AND (leased_until IS NULL OR leased_until <= %(now)s)
    FOR UPDATE SKIP LOCKED
)
UPDATE alarms_delivery SET
    state = 'leased',
    attempt_count = attempt_count + 1,
    lost_count = lost_count + 1,
    leased_until = %(now)s + make_interval(secs => least(%(longest)s, %(lease)s * power(2, least(lost_count, 10))))
WHERE id = ANY (ARRAY(SELECT id FROM chosen))
RETURNING id, project_id, url, body, attempt_count, leased_until
"""


class Leased(NamedTuple):
    """One attempt to hand out. Whoever knows ``token`` may say, once, what came of it."""

    delivery_id: UUID
    project_id: str
    url: str
    body: str
    number: int
    leased_until: datetime
    token: str


def lease_due(now: datetime) -> list[Leased]:
    """Take what is due, and nobody else gets it until its lease ends or its attempt is reported.

    Of one alarm and URL only the first that has not ended. Lossless for the caller: what it does not send is due again.
    """
    with transaction.atomic():
        leased = [Leased(*row, token=secrets.token_urlsafe()) for row in _take(now)]
        Attempt.objects.bulk_create(
            Attempt(delivery_id=one.delivery_id, number=one.number, token=one.token, begun_at=now) for one in leased
        )
    return leased


def _take(now: datetime) -> list[tuple[Any, ...]]:
    bounds = {
        "in_flight": _IN_FLIGHT,
        "of_project": _OF_PROJECT,
        "for_receiver": _FOR_RECEIVER,
        "of_project_for_receiver": _OF_PROJECT_FOR_RECEIVER,
        "lease": _LEASE_SECONDS,
        "longest": LONGEST_LEASE_SECONDS,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LEASE, {"now": now, **bounds})
        return cursor.fetchall()
