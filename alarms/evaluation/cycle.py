"""One cycle: claim what is due, read what all of it needs, decide, write."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

from alarms import transitions
from alarms.models import Alarm
from alarms.rules.alarm_types import AlarmType, Situation, find_type
from alarms.rules.decision import Decision
from alarms.transitions import Decided
from metering.queries.filters import Scope

from .claims import Claim, claim_due, put_off, schedule_missing
from .reading import Question, ReadFailed, read_all

__all__ = ["Evaluated", "evaluate_due", "scope_of"]

logger = logging.getLogger(__name__)

# So many are claimed, read and written together; another evaluator can have the others.
_BATCH = 2500


class Evaluated(NamedTuple):
    """What a call did; ``is_done`` is false where it stopped at its bound and more was due."""

    alarms: int
    fired: int
    is_done: bool


def evaluate_due(now: datetime, *, batches: int = 4) -> Evaluated:
    """Evaluate alarms that are due, in so many batches at most. ``now`` is the moment for all of them.

    Any number of evaluators may do so at once: none decides about what another has claimed.
    """
    schedule_missing(now)
    alarms = fired = 0
    for _ in range(batches):
        claim = claim_due(now, most=_BATCH)
        if not claim.alarms:
            return Evaluated(alarms, fired, is_done=True)
        fired += _evaluate(claim, now)
        alarms += len(claim.alarms)
    return Evaluated(alarms, fired, is_done=False)


def _evaluate(claim: Claim, now: datetime) -> int:
    decided = _decide(claim.alarms, now)
    with transaction.atomic():
        mine = put_off([alarm.id for alarm in claim.alarms], claim.until, now=now)
        return len(transitions.write([one for one in decided if one.alarm.id in mine], now=now))


def _decide(alarms: Sequence[Alarm], now: datetime) -> list[Decided]:
    """A decision about each alarm that one can be made about."""
    end_at = now - settings.CELOMETER_ALARM_LAG
    questions: list[Question] = []
    asked: list[tuple[Alarm, AlarmType, slice]] = []
    for alarm in alarms:
        kind = find_type(alarm.type)
        if kind is None:
            continue
        first = len(questions)
        scope = scope_of(alarm)
        questions += [Question(reading, scope) for reading in kind.readings(alarm.rule, end_at)]
        asked.append((alarm, kind, slice(first, len(questions))))
    answers = read_all(questions)
    return [Decided(alarm, _decision(alarm, kind, answers[places], now)) for alarm, kind, places in asked]


def _decision(alarm: Alarm, kind: AlarmType, answers: Sequence[list | ReadFailed], now: datetime) -> Decision:
    series = [[] if isinstance(answer, ReadFailed) else answer for answer in answers]
    situation = Situation(alarm.rule, alarm.state, alarm.memory, alarm.repeat_actions, now)  # type: ignore[arg-type]
    return kind.decide(situation, series)


def scope_of(alarm: Alarm) -> Scope:
    """Whose samples and events an alarm may look at, whatever its rule says: its project's. One of no project is an operator's: all."""
    return Scope((alarm.project_id,) if alarm.project_id else None)
