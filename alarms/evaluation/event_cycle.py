"""Event alarms: what has come is matched and written in one transaction with how far was read, so that no event counts twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import transaction

from alarms.models import Alarm
from alarms.rules.matching import EventIndex, SeenEvent, decide_event, matches

from . import writing
from .arrivals import find_arrivals, read_events, take_cursor
from .writing import Decided

__all__ = ["evaluate_events"]

logger = logging.getLogger(__name__)

_SECONDS = 10.0


def evaluate_events(now: datetime, *, seconds: float = _SECONDS) -> bool:
    """Match the events that have come, for about so long; false where more may wait. While somebody else is at it, it is theirs."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if _evaluate_some(now):
            return True
    return False


def _evaluate_some(now: datetime) -> bool:
    """Whether nothing is left, or it is somebody else's."""
    with transaction.atomic():
        cursor = take_cursor()
        if cursor is None:
            return True
        arrivals = find_arrivals(cursor.position)
        cursor.position = arrivals.position
        cursor.save()
        if arrivals.batches and _event_alarms().exists():
            events = read_events(arrivals.batches)
            writing.write(_decide(events), now=now, records_repeats=True)
        return arrivals.is_all


def _event_alarms():  # noqa: ANN202 (a queryset; its type is Django's)
    return Alarm.objects.filter(type="event", enabled=True).order_by()


def _decide(events: Sequence[SeenEvent]) -> list[Decided]:
    """All hits, event by event. Alarms that are hit are looked at again once nobody can change them: an edit misses no event."""
    projects = {event.project_id for event in events} | {""}
    hit = {alarm.id for alarm, _ in _hits(_event_alarms().filter(project_id__in=projects), events)}
    locked = _event_alarms().filter(id__in=hit).order_by("id").select_for_update(no_key=True)
    states: dict[object, str] = {}
    decided = []
    for alarm, event in _hits(locked, events):
        state = states.get(alarm.id, alarm.state)
        decision = decide_event(alarm.rule, event, state, repeats=alarm.repeat_actions)  # type: ignore[arg-type]
        states[alarm.id] = decision.state
        if decision.fires:
            decided.append(Decided(alarm, decision))
    return decided


def _hits(alarms: Iterable[Alarm], events: Sequence[SeenEvent]) -> list[tuple[Alarm, SeenEvent]]:
    """What is wrong with one alarm, or with one event, is no other's trouble."""
    known = [(alarm.project_id, alarm.rule.get("event_type") or "*", alarm) for alarm in alarms]
    index = EventIndex(known)
    found = []
    for event in events:
        for alarm in index.candidates(event):
            if alarm.state == "alarm" and not alarm.repeat_actions:
                continue
            try:
                is_hit = matches(alarm.rule, event)
            except Exception:
                logger.exception("alarm %s could not be compared with event %s", alarm.id, event.message_id)
                continue
            if is_hit:
                found.append((alarm, event))
    return found
