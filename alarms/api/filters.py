"""The simple query language on alarms and their history (spec §4.2): conditions on one field are alternatives, all fields must hold."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Q

from metering.api.callers import Caller
from metering.queries.simple import QueryItem

__all__ = ["filter_alarms"]


def filter_alarms(items: Sequence[QueryItem], *, caller: Caller) -> Q:
    return Q()
