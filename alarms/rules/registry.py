"""Which types of alarms there are, by name: the built-in ones, then plugins by entry point."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import entry_points

from .contract import RuleType

__all__ = ["DuplicateType", "rule_types"]

# Modules of this package, and the names of the types in them.
_BUILT_IN = {
    "threshold": "threshold:RULE_TYPE",
    "combination": "combination:RULE_TYPE",
    "composite": "composite:RULE_TYPE",
    "event": "event:RULE_TYPE",
    "anomaly": "anomaly:RULE_TYPE",
    "gnocchi_resources_threshold": "gnocchi:RESOURCES",
    "gnocchi_aggregation_by_metrics_threshold": "gnocchi:BY_METRICS",
    "gnocchi_aggregation_by_resources_threshold": "gnocchi:BY_RESOURCES",
    "prometheus": "foreign:PROMETHEUS",
    "loadbalancer_member_health": "foreign:LOADBALANCER",
}


class DuplicateType(Exception):
    """Two types of one name; the text names both."""


@cache
def rule_types() -> Mapping[str, RuleType]:
    """Every type by its name. Raises DuplicateType."""
    # By name, not by import: a composite rule looks here for the types of its leaves.
    types = {name: _built_in(place) for name, place in _BUILT_IN.items()}
    for point in entry_points(group="celometer.alarm_rules"):
        plugin = point.load()
        if plugin.name in types:
            raise DuplicateType(f"{plugin.name!r} is both {types[plugin.name]!r} and {plugin!r}")
        types[plugin.name] = plugin
    return types


def _built_in(place: str) -> RuleType:
    module, _, name = place.partition(":")
    found: RuleType = getattr(importlib.import_module(f".{module}", __package__), name)
    return found
