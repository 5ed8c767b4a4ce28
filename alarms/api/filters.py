"""The simple query language on alarms and their history (spec §4.2): values of one field are alternatives, all fields must hold."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django.db.models import Q

from alarms.models import Severity
from alarms.rules.decision import STATES
from metering.api.callers import Caller
from metering.queries.errors import InvalidInput, QueryError, UnknownArgument, shorten
from metering.queries.filters import TimeBound
from metering.queries.simple import QueryItem, build_filter
from metering.queries.values import METADATA_TYPES, parse_timestamp

from .contract import ALARM_FIELDS, HISTORY_FIELDS
from .errors import operators_only
from .scoping import read_id

__all__ = ["filter_alarms", "filter_history", "read_severity"]

_TIME_FIELDS = frozenset({"timestamp", "search_offset"})
_TIME_OPERATORS = ("lt", "le", "gt", "ge")
_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})
_FALSE = frozenset({"0", "f", "false", "off", "n", "no"})


def filter_alarms(items: Sequence[QueryItem], *, caller: Caller) -> Q:
    """What the items select. Raises QueryError; PermissionDenied for ``all_projects`` by others than operators."""
    _check_items(items, fields=ALARM_FIELDS, time_operators=("eq", *_TIME_OPERATORS))
    exact = [item for item in items if item.name == "timestamp" and item.op == "eq"]
    found = _time_bounds([item for item in items if item not in exact], "changed_at")
    if exact:
        found &= Q(changed_at__in=[parse_timestamp(item.value) for item in exact])
    for name, values in _by_name(items).items():
        if name == "all_projects":
            found &= _all_projects([_boolean(name, value) for value in values], caller)
        else:
            found &= _ALARM_READERS[name](values)
    return found


def filter_history(items: Sequence[QueryItem]) -> Q:
    """What the items select of a history. Raises QueryError."""
    _check_items(items, fields=HISTORY_FIELDS, time_operators=_TIME_OPERATORS)
    found = _time_bounds(items, "recorded_at")
    for name, values in _by_name(items).items():
        found &= _HISTORY_READERS[name](values)
    return found


def _by_name(items: Sequence[QueryItem]) -> dict[str, list[str]]:
    """The values of each field but those of time."""
    found: dict[str, list[str]] = {}
    for item in items:
        if item.name not in _TIME_FIELDS:
            found.setdefault(item.name, []).append(item.value)
    return found


def _check_items(items: Sequence[QueryItem], *, fields: Collection[str], time_operators: Sequence[str]) -> None:
    for item in items:
        if item.name not in fields:
            raise UnknownArgument(item.field, f"unrecognized field in query, valid keys: {sorted(fields)}")
        if item.op not in (time_operators if item.name == "timestamp" else ("eq",)):
            raise InvalidInput("op", item.op, f"unimplemented operator for {item.field}")
        if item.type and item.type not in METADATA_TYPES:
            supported = f"The supported data type list is: {list(METADATA_TYPES)}"
            raise QueryError(f"The data type {shorten(item.type)} is not supported. {supported}", value=item.type)


def _time_bounds(items: Sequence[QueryItem], column: str) -> Q:
    window = build_filter([item for item in items if item.name in _TIME_FIELDS], fields=_TIME_FIELDS)
    return _bound(f"{column}__gt", window.lower) & _bound(f"{column}__lt", window.upper)


def _bound(lookup: str, bound: TimeBound | None) -> Q:
    return Q() if bound is None else Q(**{f"{lookup}e" if bound.inclusive else lookup: bound.at})


def _all_projects(wanted: Sequence[bool], caller: Caller) -> Q:
    """All projects is what operators see anyway; others cannot ask for it."""
    if any(wanted):
        if not caller.is_operator:
            raise operators_only("all_projects")
        return Q()
    own = {*caller.projects, caller.project or ""}
    return Q(project_id__in=own) if caller.is_operator else Q()


def _texts(column: str) -> Callable[[Sequence[str]], Q]:
    return lambda values: Q(**{f"{column}__in": values})


def _booleans(name: str) -> Callable[[Sequence[str]], Q]:
    return lambda values: Q(**{f"{name}__in": [_boolean(name, value) for value in values]})


def _boolean(name: str, value: str) -> bool:
    word = value.strip().lower()
    if word not in _TRUE | _FALSE:
        raise InvalidInput(name, value, f"Value not an unambiguous boolean: {shorten(value)}")
    return word in _TRUE


def _ids(values: Sequence[str]) -> Q:
    return Q(id__in=[id for value in values if (id := read_id(value))])


def _states(values: Sequence[str]) -> Q:
    for value in values:
        if value not in STATES:
            raise InvalidInput("state", value, f"Value should be one of: {', '.join(STATES)}")
    return Q(state__in=values)


def _meters(values: Sequence[str]) -> Q:
    return Q(rule__meter_name__in=values) | Q(rule__metric__in=values)


def read_severity(value: Any) -> Severity:
    """By its name. Raises InvalidInput."""
    for severity in Severity:
        if severity.label == value:
            return severity
    raise InvalidInput("severity", value, f"Value should be one of: {', '.join(Severity.labels)}")


def _severities(values: Sequence[str]) -> Q:
    return Q(severity__in=[read_severity(value) for value in values])


_OWNERS: Mapping[str, Callable[[Sequence[str]], Q]] = {"user": _texts("user_id"), "project": _texts("project_id")}
_ALARM_READERS: Mapping[str, Callable[[Sequence[str]], Q]] = {
    **_OWNERS,
    "name": _texts("name"),
    "type": _texts("type"),
    "state": _states,
    "meter": _meters,
    "enabled": _booleans("enabled"),
    "repeat_actions": _booleans("repeat_actions"),
    "alarm_id": _ids,
    "severity": _severities,
}
_HISTORY_READERS: Mapping[str, Callable[[Sequence[str]], Q]] = {
    **_OWNERS,
    "type": _texts("type"),
    "severity": _severities,
}
