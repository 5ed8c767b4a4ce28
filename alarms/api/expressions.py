"""A complex query as a condition on alarms or on their history (spec §4.3): the one place that knows both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Q, QuerySet, TextField
from django.db.models.fields.json import KeyTransform
from django.db.models.functions import Cast

from metering.queries.complex import Comparison, Expression, Junction, Kind, Language, find_comparisons
from metering.queries.errors import FilterError, InvalidInput

from .actions import ACTION_FIELDS
from .filters import read_severity
from .scoping import read_id

__all__ = ["ALARMS", "HISTORY", "Searched", "find_patterns"]

_LOOKUPS = {"=": "exact", "<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "=~": "regex", "in": "in"}
_ALIASES = {"user_id": "user", "project_id": "project"}


@dataclass(frozen=True)
class Searched:
    """A model that complex queries are about: its language, and the column of each field; ``texts`` are of JSON, and made first."""

    language: Language
    columns: Mapping[str, str]
    texts: Mapping[str, Any] = field(default_factory=dict)

    def select(self, rows: QuerySet[Any], expression: Expression) -> QuerySet[Any]:
        """The rows that it holds for. Raises FilterError."""
        return rows.alias(**{f"{name}_text": text for name, text in self.texts.items()}).filter(
            self._compile(expression)
        )

    def _compile(self, expression: Expression) -> Q:
        if isinstance(expression, Comparison):
            return self._compare(expression)
        if isinstance(expression, Junction):
            parts = [self._compile(part) for part in expression.parts]
            joined = parts[0]
            for part in parts[1:]:
                joined = joined & part if expression.word == "and" else joined | part
            return joined
        return ~self._compile(expression.part)

    def _compare(self, leaf: Comparison) -> Q:
        column = self.columns.get(leaf.field, f"{leaf.field}_text")
        values = self._read(leaf)
        if leaf.operator == "!=":
            return ~Q(**{f"{column}__in": values})
        if leaf.operator in {"=", "in"}:
            return Q(**{f"{column}__in": values})
        return Q(**{f"{column}__{_LOOKUPS[leaf.operator]}": values[0]})

    def _read(self, leaf: Comparison) -> list[Any]:
        """The values as the column has them; ids that are none are nobody's."""
        if self.language.fields[leaf.field] is Kind.ID:
            if leaf.operator not in {"=", "!=", "in"}:
                raise FilterError(f"{leaf.field} is compared by =, != or in alone", value=leaf.operator)
            return [id for value in leaf.values if (id := read_id(str(value)))]
        if leaf.field != "severity":
            return list(leaf.values)
        if leaf.operator == "=~":
            raise FilterError("severity is not compared by =~: use in", value=leaf.operator)
        try:
            return [read_severity(value) for value in leaf.values]
        except InvalidInput as error:
            raise FilterError(error.text, value=error.value) from error


def find_patterns(expression: Expression) -> list[str]:
    """Its regular expressions."""
    return [str(leaf.values[0]) for leaf in find_comparisons(expression) if leaf.operator == "=~"]


_TEXTS = ("type", "user", "project", "severity")
_OWNERS = {"user": "user_id", "project": "project_id"}

ALARMS = Searched(
    Language(
        {
            **dict.fromkeys((*_TEXTS, "name", "description", "state", "state_reason"), Kind.TEXT),
            **dict.fromkeys(("rule", "time_constraints", *ACTION_FIELDS.values()), Kind.TEXT),
            **dict.fromkeys(("enabled", "repeat_actions"), Kind.BOOLEAN),
            **dict.fromkeys(("timestamp", "state_timestamp"), Kind.TIME),
            "alarm_id": Kind.ID,
        },
        _ALIASES,
    ),
    columns={
        **{name: name for name in ("type", "severity", "name", "description", "state", "state_reason", "enabled")},
        **_OWNERS,
        "repeat_actions": "repeat_actions",
        "timestamp": "changed_at",
        "state_timestamp": "state_at",
        "alarm_id": "id",
    },
    texts={
        **{name: Cast(name, TextField()) for name in ("rule", "time_constraints")},
        **{name: Cast(KeyTransform(state, "actions"), TextField()) for state, name in ACTION_FIELDS.items()},
    },
)
HISTORY = Searched(
    Language(
        {
            **dict.fromkeys((*_TEXTS, "on_behalf_of", "detail"), Kind.TEXT),
            **dict.fromkeys(("alarm_id", "event_id"), Kind.ID),
            "timestamp": Kind.TIME,
        },
        _ALIASES,
    ),
    columns={
        **{name: name for name in ("type", "severity", "on_behalf_of", "alarm_id")},
        **_OWNERS,
        "timestamp": "recorded_at",
        "event_id": "id",
    },
    texts={"detail": Cast("detail", TextField())},
)
