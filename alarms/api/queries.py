"""``POST /v2/query/alarms`` and ``/v2/query/alarms/history``: by the complex query language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import QuerySet
from rest_framework.request import Request
from rest_framework.response import Response

from metering.api.query_body import query_text, read_query, whole_number
from metering.queries.complex import named_projects, parse_filter, parse_order
from metering.queries.errors import OrderError, QueryError

from . import contract
from .expressions import ALARMS, HISTORY, Searched, find_patterns
from .lists import ALARM_KEYS, CHANGE_KEYS, Key, ListView, complete_order
from .scoping import visible_alarms, visible_changes
from .shapes import alarm_shape, change_shape

__all__ = ["AlarmQuery", "HistoryQuery"]

_NAMES = {"user": "user_id", "project": "project_id"}


class _Query(ListView):
    """POST alone. Checked in this order: the body's form, filter (400), its projects (401), order-by, limit, marker (400)."""

    def answer_query(
        self,
        request: Request,
        found: QuerySet[Any],
        *,
        searched: Searched,
        keys: Mapping[str, str],
        shape: Callable[[Any], Any],
    ) -> Response:
        body = read_query(request._request)
        written = query_text(body, "filter")
        rows, patterns = found, []
        if written is not None:
            expression = parse_filter(written, searched.language)
            self.check_projects(named_projects(expression))
            rows, patterns = searched.select(found, expression), find_patterns(expression)
        order = _read_order(query_text(body, "orderby"), searched, keys)
        limit = self._read_limit(body.get("limit"))
        return self.answer_ordered(rows, among=found, order=order, limit=limit, shape=shape, patterns=patterns)

    def _read_limit(self, written: Any) -> int:
        limit = 0 if written is None else whole_number(written)
        if written is not None and limit <= 0:
            raise QueryError("Limit should be positive", value=limit)
        return self.check_list_limit(limit)


def _read_order(written: str | None, searched: Searched, keys: Mapping[str, str]) -> list[Key]:
    asked = () if written is None else parse_order(written, searched.language)
    order = []
    for key in asked:
        name = _NAMES.get(key.field, key.field)
        if name not in keys:
            raise OrderError(f"{key.field} has no order: expected {', '.join(sorted(keys))}", value=key.field)
        order.append(Key(keys[name], descending=key.descending))
    return complete_order(order, keys)


class AlarmQuery(_Query):
    title = "Complex query for alarms"
    summary = (
        "POST a filter of and, or, not, in, =~ and comparisons, both it and the order as text that holds JSON. Without them: all, the "
        "newest first."
    )
    operations = {"POST": contract.QUERY_ALARMS}
    examples = (("Alarms", "/v2/alarms"), ("What this server can do", "/v2/capabilities"))

    def post(self, request: Request) -> Response:
        found = visible_alarms(self.scope)
        return self.answer_query(request, found, searched=ALARMS, keys=ALARM_KEYS, shape=alarm_shape)


class HistoryQuery(_Query):
    title = "Complex query for the history of alarms"
    summary = "POST a filter and an order as for alarms: what happened to all alarms of the caller's projects, also to those that are gone."
    operations = {"POST": contract.QUERY_HISTORY}
    examples = (("Alarms", "/v2/alarms"), ("What this server can do", "/v2/capabilities"))

    def post(self, request: Request) -> Response:
        found = visible_changes(self.scope)
        return self.answer_query(request, found, searched=HISTORY, keys=CHANGE_KEYS, shape=change_shape)
