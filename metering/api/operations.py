"""What a view can be asked for, declared once: the parser, the forms of pages and the schema all read it.

A view has an ``Operation`` for each method. Arguments that no operation declares are refused as unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django.conf import settings

__all__ = [
    "METADATA_FIELDS",
    "QUERY_PARTS",
    "TEXT",
    "Answer",
    "FreeFields",
    "Operation",
    "Parameter",
    "limit_parameter",
    "switch",
]

Schema = Mapping[str, Any]

TEXT: Schema = {"type": "string"}
# The parts of a condition of the simple query language, as in q.field.
QUERY_PARTS = ("field", "op", "value", "type")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument, or one part of a path or a header. ``schema`` is that of one value; a repeated one may be given several times."""

    name: str
    description: str
    schema: Schema = field(default_factory=lambda: TEXT)
    example: Any = None
    repeated: bool = False
    # What a form calls it, and offers; one without a label stands in no form.
    label: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request that succeeds is answered with; no ``schema`` where there is no body. ``headers`` are told by name and meaning."""

    description: str
    schema: Schema | None
    example: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FreeFields:
    """Fields whose names come with the data: what they are called, how they begin, which operators they know."""

    text: str
    prefix: str
    operators: str
    label: str
    hint: str


METADATA_FIELDS = FreeFields("`metadata.KEY`", "metadata.", "`eq`", "Metadata (key=value)", "state=running")


@dataclass(frozen=True, eq=False)
class Operation:
    """One method of a view.

    ``fields`` are those of the simple query language that it can be filtered by; None where it takes no such query;
    ``given_fields`` are those of them that the path gives already; ``free_fields`` are named by those who ask, if there are such.
    ``refusals`` are statuses beside those that every request may be answered with.
    """

    answers: Mapping[int, Answer]
    summary: str = ""
    fields: frozenset[str] | None = None
    given_fields: frozenset[str] = frozenset()
    free_fields: FreeFields | None = METADATA_FIELDS
    arguments: tuple[Parameter, ...] = ()
    headers: tuple[Parameter, ...] = ()
    body: Schema | None = None
    body_example: Any = None
    refusals: tuple[int, ...] = ()

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """Every argument that may stand in the URL."""
        return (*(query_parameters(self.fields, self.free_fields) if self.fields is not None else ()), *self.arguments)

    @cached_property
    def known_arguments(self) -> frozenset[str]:
        return frozenset(parameter.name for parameter in self.parameters)


def query_parameters(fields: frozenset[str], free: FreeFields | None) -> tuple[Parameter, ...]:
    """The four parallel parameters of the simple query language, for an endpoint with these fields."""
    names = ", ".join(f"`{name}`" for name in sorted(fields))
    operators = "`eq`" + (", for a timestamp `lt`, `le`, `gt` or `ge`" if "timestamp" in fields else "")
    if free is not None and free.operators != operators:
        operators += f"; for {free.text}: {free.operators}"
    return (
        Parameter(
            "q.field",
            f"What a condition is about: {names}{f', or {free.text}' if free else ''}. `user_id`, `project_id` and `resource_id` mean the "
            "same as `user`, `project` and `resource`. May be repeated; conditions pair with operators, values and types by position, and "
            "all must hold.",
            example="resource_id" if "resource" in fields else sorted(fields)[0],
            repeated=True,
        ),
        Parameter("q.op", f"Its operator: {operators}. Empty or left out: `eq`.", example="eq", repeated=True),
        Parameter("q.value", "What it compares with. As many as there are fields.", example="r1", repeated=True),
        Parameter(
            "q.type",
            f"How the value of {free.text} is read: `string`, `integer`, `float`, `boolean` or `datetime`. Empty or left out: "
            "as it looks like."
            if free
            else "Of what type the value is. Changes nothing: fields have types.",
            example="string",
            repeated=True,
        ),
    )


def switch(name: str, description: str, *, label: str = "") -> Parameter:
    """An argument that is true or not, in the words that version 2 knows."""
    text = f"{description} `1`, `t`, `true`, `on`, `y` and `yes` mean yes; anything else means no."
    return Parameter(name, text, example="True", label=label, choices=("True", "False"))


def limit_parameter() -> Parameter:
    return Parameter(
        "limit",
        f"How many entries to answer with, {settings.CELOMETER_API_DEFAULT_LIMIT} when left out.",
        {"type": "integer", "minimum": 1, "maximum": settings.CELOMETER_API_MAX_LIMIT},
        label="Entries at most",
    )
