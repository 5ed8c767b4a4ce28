"""Lists in any order, page by page.

A page begins behind its marker, the id of the last entry of the page before (spec §4.2): Aodh's clients give it themselves. The entry is
looked for among all that the caller may see, so that no marker tells of anything else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db.models import F, Model, Q, QuerySet
from django.db.models.expressions import OrderBy
from rest_framework.response import Response

from metering.api.views import ApiView
from metering.queries.database import Statement
from metering.queries.errors import InvalidInput, QueryError, shorten
from metering.queries.patterns import fetch_matching

from .scoping import read_id

__all__ = ["ALARM_KEYS", "CHANGE_KEYS", "Key", "ListView", "complete_order", "find_marked"]

Row = TypeVar("Row", bound=Model)


class Key(NamedTuple):
    """Something to order by: a field of the model."""

    field: str
    descending: bool = False


# What lists can be ordered by, and the fields of the models.
ALARM_KEYS: Mapping[str, str] = {
    **{
        name: name
        for name in ("enabled", "name", "type", "severity", "user_id", "project_id", "state", "repeat_actions")
    },
    "alarm_id": "id",
    "timestamp": "changed_at",
    "state_timestamp": "state_at",
}
CHANGE_KEYS: Mapping[str, str] = {
    **{name: name for name in ("alarm_id", "on_behalf_of", "project_id", "user_id", "type", "severity")},
    "event_id": "id",
    "timestamp": "recorded_at",
}


class ListView(ApiView):
    """A view that answers with a list of a model's rows."""

    def answer_list(
        self, rows: QuerySet[Row], *, among: QuerySet[Row], keys: Mapping[str, str], shape: Callable[[Row], Any]
    ) -> Response:
        """A page of the rows, in the order that was asked for. Markers are looked for ``among`` all. Raises QueryError."""
        order = parse_order(self.arguments.get_all("sort"), keys)
        limit = self.check_list_limit(self.arguments.integer("limit", 0))
        return self.answer_ordered(rows, among=among, order=order, limit=limit, shape=shape)

    def check_list_limit(self, limit: int) -> int:
        """0 means as many as there may be. Raises QueryError."""
        most = settings.CELOMETER_ALARM_MAX_LIMIT
        if limit < 0:
            raise QueryError("Limit must be positive", value=limit)
        if limit > most:
            text = (
                f"Limit must be at most {most}. Value: '{limit}'. To get more, follow the Link header of each answer."
            )
            raise QueryError(text, value=limit)
        return limit or most

    def answer_ordered(
        self,
        rows: QuerySet[Row],
        *,
        among: QuerySet[Row],
        order: Sequence[Key],
        limit: int,
        shape: Callable[[Row], Any],
        patterns: Sequence[str] = (),
    ) -> Response:
        """The first ``limit`` rows behind the marker. Raises QueryError, also for patterns that are no regular expressions."""
        marker = self.arguments.text("marker", None)
        if marker is not None:
            rows = rows.filter(_behind(find_marked(marker, among), order))
        found = _fetch(rows.order_by(*map(_order_by, order))[: limit + 1], patterns)
        shown = found[:limit]
        headers = {"Link": self.next_link(str(shown[-1].pk))} if len(found) > limit else {}
        return Response([shape(row) for row in shown], headers=headers)


def _fetch(rows: QuerySet[Row], patterns: Sequence[str]) -> list[Row]:
    """The rows in their order, found within the time that a question may take."""
    try:
        statement = Statement(*rows.values_list("pk").query.sql_with_params())
    except EmptyResultSet:
        return []
    ids = [id for (id,) in fetch_matching(statement, patterns)]
    by_id = rows.model._default_manager.in_bulk(ids)
    # One may have gone in between.
    return [by_id[id] for id in ids if id in by_id]


def parse_order(texts: Sequence[str], keys: Mapping[str, str]) -> list[Key]:
    """From texts such as ``name:desc``. The newest first where nothing is said, or left open. Raises InvalidInput."""
    order = [_parse_key(text, keys) for text in texts]
    return complete_order(order, keys)


def complete_order(order: Sequence[Key], keys: Mapping[str, str]) -> list[Key]:
    """The order with what decides where it leaves something open, so that no two rows stand in one place."""
    ties = (Key(keys["timestamp"], descending=True), Key("id"))
    first: dict[str, Key] = {}
    for key in (*order, *ties):
        first.setdefault(key.field, key)
    return list(first.values())


def _parse_key(text: str, keys: Mapping[str, str]) -> Key:
    name, _, direction = text.partition(":")
    if name not in keys:
        raise InvalidInput("sort", text, f"expected one of {', '.join(sorted(keys))}, perhaps with :asc or :desc")
    if direction.lower() not in {"", "asc", "desc"}:
        raise InvalidInput("sort", text, f"expected asc or desc behind {name}:")
    return Key(keys[name], descending=direction.lower() == "desc")


def find_marked(marker: str, among: QuerySet[Row]) -> Row:
    """The row that a marker names, among those that the caller may see. Raises InvalidInput."""
    id = read_id(marker)
    row = among.filter(pk=id).first() if id else None
    if row is None:
        raise InvalidInput("marker", shorten(marker), "expected the id of the last entry of the page before")
    return row


def _order_by(key: Key) -> OrderBy:
    column = F(key.field)
    return column.desc(nulls_last=True) if key.descending else column.asc(nulls_last=True)


def _behind(row: Model, order: Sequence[Key]) -> Q:
    """Whatever stands behind the row: equal in the first keys, and further on in the next."""
    behind, equal = Q(pk__in=[]), Q()
    for key in order:
        value = getattr(row, key.field)
        behind |= equal & _further(key, value)
        equal &= Q(**{f"{key.field}__isnull": True}) if value is None else Q(**{key.field: value})
    return behind


def _further(key: Key, value: Any) -> Q:
    # Nothing stands behind nothing: that is last in both directions.
    if value is None:
        return Q(pk__in=[])
    comparison = "lt" if key.descending else "gt"
    return Q(**{f"{key.field}__{comparison}": value}) | Q(**{f"{key.field}__isnull": True})
