"""Combinations, by the stored states of their members: one statement for those of many."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from graphlib import CycleError, TopologicalSorter
from uuid import UUID

from alarms.models import Alarm
from alarms.rules.decision import State
from alarms.rules.members import decide_combination

from .scopes import scope_of
from .writing import Decided

__all__ = ["decide_combinations", "in_levels"]

logger = logging.getLogger(__name__)


def in_levels(alarms: Sequence[Alarm]) -> Iterator[list[Alarm]]:
    """Combinations of combinations after their members. Where members lead in a circle there is no order: all are one level."""
    by_id = {str(alarm.id): alarm for alarm in alarms}
    if not by_id:
        return
    sorter = TopologicalSorter({name: _members(alarm) & by_id.keys() for name, alarm in by_id.items()})
    try:
        sorter.prepare()
    except CycleError:
        yield list(alarms)
        return
    while sorter.is_active():
        ready = sorter.get_ready()
        yield [by_id[name] for name in ready]
        sorter.done(*ready)


def decide_combinations(alarms: Sequence[Alarm]) -> list[Decided]:
    """A decision about each. A member that the combination's project does not see is as good as none."""
    wanted = {member for alarm in alarms for member in _members(alarm)}
    found = {str(id_): (project, state) for id_, project, state in _states(wanted)}
    decided = []
    for alarm in alarms:
        scope = scope_of(alarm)
        states: dict[str, State] = {
            member: found[member][1]
            for member in _members(alarm)
            if member in found and scope.includes(found[member][0])
        }
        try:
            decision = decide_combination(alarm.rule, states, alarm.state, repeats=alarm.repeat_actions)  # type: ignore[arg-type]
        except Exception:
            logger.exception("alarm %s could not be decided about", alarm.id)
            continue
        decided.append(Decided(alarm, decision))
    return decided


def _members(alarm: Alarm) -> set[str]:
    return {str(member) for member in alarm.rule.get("alarm_ids", ())}


def _states(ids: set[str]) -> list[tuple[UUID, str, State]]:
    usable = []
    for text in ids:
        try:
            usable.append(UUID(text))
        except ValueError:
            continue
    return list(Alarm.objects.filter(id__in=usable).order_by().values_list("id", "project_id", "state"))
