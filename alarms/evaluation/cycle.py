"""One cycle: claim what is due, read what all of it needs, decide, write."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction

from alarms.models import Alarm
from alarms.rules.alarm_types import AlarmType, Situation, find_type
from alarms.rules.decision import INSUFFICIENT, Decision
from alarms.rules.time_constraints import is_open
from alarms.rules.translations import NotEvaluable
from alarms.transitions import Fired
from metering.collector.availability import is_transient

from . import writing
from .claims import Claim, claim_due, give_back, put_off, schedule_missing
from .combinations import decide_combinations, in_levels
from .reading import NotRead, Question, ReadFailed, Series, TooSlow, read_all
from .scopes import scope_of
from .writing import Decided

__all__ = ["Evaluated", "evaluate_due"]

logger = logging.getLogger(__name__)

# So many are claimed, read and written together; another evaluator can have the others.
_BATCH = 2500
# No claim is begun after that. A batch takes about a second.
_SECONDS = 10.0
# A batch reads for so long at most; a task ends in time whatever the store does.
_READING_SECONDS = 7.0


class Evaluated(NamedTuple):
    """What a call did; ``is_done`` is false where it stopped at its bound and more may be due."""

    alarms: int
    fired: int
    is_done: bool


def evaluate_due(now: datetime, *, seconds: float = _SECONDS, batch: int = _BATCH) -> Evaluated:
    """Evaluate alarms that are due, batch by batch for about so long. ``now`` is the moment for all of them.

    Any number of evaluators may do so at once: none decides about what another has claimed.
    """
    deadline = time.monotonic() + seconds
    schedule_missing(now)
    alarms = fired = 0
    while time.monotonic() < deadline:
        claim = claim_due(now, most=batch)
        turn = _evaluate_each(claim, now)
        fired += turn.fired
        alarms += turn.alarms
        if len(claim.alarms) < batch and turn.alarms == len(claim.alarms):
            return Evaluated(alarms, fired, is_done=True)
    return Evaluated(alarms, fired, is_done=False)


class _Turn(NamedTuple):
    """How many alarms of a claim have had their turn, and how many fired."""

    alarms: int
    fired: int


def _evaluate_each(claim: Claim, now: datetime) -> _Turn:
    """An alarm that cannot be evaluated at all is found by halves, and has had its turn: others must not wait for it."""
    try:
        return _evaluate(claim, now)
    except Exception as error:
        if isinstance(error, DatabaseError | InterfaceError) and is_transient(error):
            raise
        if len(claim.alarms) <= 1:
            logger.exception("alarm %s could not be evaluated", [alarm.id for alarm in claim.alarms])
            _write(claim.alarms, [], claim, now)
            return _Turn(len(claim.alarms), 0)
    middle = len(claim.alarms) // 2
    halves = claim.alarms[:middle], claim.alarms[middle:]
    first, second = (_evaluate_each(claim._replace(alarms=half), now) for half in halves)
    return _Turn(first.alarms + second.alarms, first.fired + second.fired)


def _evaluate(claim: Claim, now: datetime) -> _Turn:
    """Those that look at samples first: combinations look at what came of them.

    What there was no time to read is left to the next claim.
    """
    combinations = [alarm for alarm in claim.alarms if alarm.type == "combination"]
    others = [alarm for alarm in claim.alarms if alarm.type != "combination"]
    decided, left = _decide(others, now)
    fired = _write([alarm for alarm in others if alarm.id not in left], decided, claim, now)
    if left:
        give_back(left, claim.until)
    for level in in_levels(combinations):
        fired += _write(level, decide_combinations(_open_ones(level, now)), claim, now)
    return _Turn(len(claim.alarms) - len(left), len(fired))


def _write(alarms: Sequence[Alarm], decided: Sequence[Decided], claim: Claim, now: datetime) -> list[Fired]:
    """What was decided about these alarms of the claim, and that all of them have had their turn."""
    if not alarms:
        return []
    with transaction.atomic():
        # The order in which the API takes them, too: first the alarm, then its schedule.
        writing.lock(decided)
        mine = put_off([alarm.id for alarm in alarms], claim.until, now=now)
        return writing.write([one for one in decided if one.alarm.id in mine], now=now)


class _Asked(NamedTuple):
    """An alarm and where the answers to its questions stand; ``trouble``: why it could ask none."""

    alarm: Alarm
    type: AlarmType
    places: slice
    trouble: str


def _decide(alarms: Sequence[Alarm], now: datetime) -> tuple[list[Decided], set[UUID]]:
    """A decision about each alarm that one can be made about, and the alarms whose series there was no time to read.

    What is wrong with one alarm is no other's trouble. Where the store is too slow for an alarm, its state stays: that says nothing of it.
    """
    end_at = now - settings.CELOMETER_ALARM_LAG
    questions: list[Question] = []
    asked: list[_Asked] = []
    for alarm in _open_ones(alarms, now):
        alarm_type = find_type(alarm.type)
        if alarm_type is None:
            continue
        scope, first, trouble = scope_of(alarm), len(questions), ""
        try:
            questions += [Question(reading, scope) for reading in alarm_type.readings(alarm.rule, end_at)]
        except NotEvaluable as error:
            trouble = str(error)
        except Exception:
            logger.exception("alarm %s has a rule that cannot be read", alarm.id)
            continue
        asked.append(_Asked(alarm, alarm_type, slice(first, len(questions)), trouble))
    answers = read_all(questions, seconds=_READING_SECONDS)
    decided: list[Decided] = []
    left: set[UUID] = set()
    for one in asked:
        own = answers[one.places]
        if any(isinstance(answer, NotRead) for answer in own):
            left.add(one.alarm.id)
        elif not any(isinstance(answer, TooSlow) for answer in own):
            decided += _decision_or_none(one, own, now)
    return decided, left


def _decision_or_none(asked: _Asked, answers: Sequence[Series | ReadFailed], now: datetime) -> list[Decided]:
    try:
        return [Decided(asked.alarm, _decision(asked, answers, now))]
    except Exception:
        logger.exception("alarm %s could not be decided about", asked.alarm.id)
        return []


def _decision(asked: _Asked, answers: Sequence[Series | ReadFailed], now: datetime) -> Decision:
    """A series that could not be read has no values; the reason then says why."""
    alarm = asked.alarm
    troubles = [asked.trouble, *(str(answer) for answer in answers if isinstance(answer, ReadFailed))]
    series: list[Series] = [[] if isinstance(answer, ReadFailed) else answer for answer in answers]
    situation = Situation(alarm.rule, alarm.state, alarm.memory, alarm.repeat_actions, now)  # type: ignore[arg-type]
    decision = asked.type.decide(situation, series)
    trouble = next(filter(None, troubles), "")
    if trouble and decision.state == INSUFFICIENT:
        return decision._replace(reason=f"{decision.reason}: {trouble}")
    return decision


def _open_ones(alarms: Sequence[Alarm], now: datetime) -> list[Alarm]:
    """Those whose time constraints let them be evaluated."""
    found = []
    for alarm in alarms:
        try:
            if is_open(alarm.time_constraints, now):
                found.append(alarm)
        except Exception:
            logger.exception("alarm %s has time constraints that cannot be read", alarm.id)
    return found
