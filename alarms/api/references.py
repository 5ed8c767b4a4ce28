"""What a rule says of projects and of other alarms, against whose alarm it is (spec §3.1, §3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import connection

from alarms.models import Alarm
from alarms.rules.composite import find_leaves
from alarms.rules.query import OWNER_FIELDS
from alarms.rules.registry import rule_types
from metering.api.errors import ForeignProject

from .errors import BadDefinition, MemberNotFound
from .scoping import read_id

__all__ = ["check_references"]


def check_references(alarm: Alarm) -> None:
    """Make a tenant's rule say what project it is about, and see that its members are there.

    Samples are limited to the alarm's project when it is evaluated, whatever the rule says: here it is told. Alarms of operators
    that belong to no project are about all. Raises ForeignProject, MemberNotFound, BadDefinition. To be called in the transaction
    that stores the alarm.
    """
    if alarm.project_id:
        for rule in _sample_rules(alarm):
            _name_project(rule, alarm.project_id)
    if alarm.type == "combination":
        _check_members(alarm)


def _sample_rules(alarm: Alarm) -> Iterator[dict[str, Any]]:
    if alarm.type == "composite":
        yield from (leaf for leaf in find_leaves(alarm.rule) if rule_types()[leaf["type"]].asks_samples)
    elif rule_types()[alarm.type].asks_samples:
        yield alarm.rule


def _name_project(rule: dict[str, Any], project: str) -> None:
    items = rule["query"]
    for item in items:
        if item["field"] in OWNER_FIELDS and item["value"] != project:
            raise ForeignProject(item["value"], projects=(project,))
    if all(item["field"] != "project_id" for item in items):
        rule["query"] = [*items, {"field": "project_id", "op": "eq", "value": project}]


def _check_members(alarm: Alarm) -> None:
    members = alarm.rule["alarm_ids"]
    if str(alarm.id) in members:
        raise BadDefinition(f"Cannot specify alarm {alarm.id} itself in combination rule", value=alarm.id)
    with connection.cursor() as cursor:
        # Two that are stored at once could each name the other.
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"combinations of {alarm.project_id}"])
    among = Alarm.objects.filter(project_id=alarm.project_id) if alarm.project_id else Alarm.objects.all()
    found = among.in_bulk([id for text in members if (id := read_id(text))])
    for text in members:
        if read_id(text) not in found:
            raise MemberNotFound(text, alarm.project_id)
    _check_circle(alarm, list(found.values()))


def _check_circle(alarm: Alarm, members: list[Alarm]) -> None:
    """Raises BadDefinition where the alarm is among the members of its members, however far down."""
    seen = {member.id for member in members}
    while members:
        below = {UUID(text) for member in members if member.type == "combination" for text in member.rule["alarm_ids"]}
        if alarm.id in below:
            text = f"Cannot specify alarm {alarm.id} in combination rule: it is a combination of itself then"
            raise BadDefinition(text, value=alarm.id)
        members = list(Alarm.objects.filter(id__in=below - seen))
        seen |= below
