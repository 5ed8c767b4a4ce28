"""An endpoint's arguments as a form: what a person fills in becomes the query that a program would send.

Browsers send a form's fields by their names, empty ones too; the simple query language wants triples, and takes an empty value at its
word. So forms are sent to ``ask``, which leads to the query that they stand for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode

from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import resolve
from django.views.decorators.http import require_safe
from django_filters import (
    CharFilter,
    ChoiceFilter,
    Filter,
    FilterSet,
    IsoDateTimeFilter,
    MultipleChoiceFilter,
    NumberFilter,
)

from metering.models import Sample

from .arguments import Arguments
from .operations import Operation, Parameter

__all__ = ["ask", "make_form"]

# The field for conditions on names that come with the data, such as keys of metadata.
_FREE = "named"


class _Condition(NamedTuple):
    """A form's field that stands for a condition."""

    field: str
    operator: str
    label: str
    is_time: bool = False


_CONDITIONS = {
    "meter": _Condition("meter", "eq", "Meter"),
    "event_type": _Condition("event_type", "eq", "Event type"),
    "name": _Condition("name", "eq", "Name"),
    "kind": _Condition("type", "eq", "Type"),
    "state": _Condition("state", "eq", "State"),
    "severity": _Condition("severity", "eq", "Severity"),
    "resource": _Condition("resource", "eq", "Resource id"),
    "project": _Condition("project", "eq", "Project id"),
    "user": _Condition("user", "eq", "User id"),
    "source": _Condition("source", "eq", "Source"),
    "message_id": _Condition("message_id", "eq", "Message id"),
    "since": _Condition("timestamp", "ge", "From (UTC)", is_time=True),
    "until": _Condition("timestamp", "lt", "Before (UTC)", is_time=True),
    "start": _Condition("start_timestamp", "ge", "From (UTC)", is_time=True),
    "end": _Condition("end_timestamp", "le", "Until (UTC)", is_time=True),
}


def make_form(operation: Operation, arguments: Arguments | None) -> forms.Form | None:
    """The form of an operation, filled in with a request's arguments; None for one that has nothing to fill in."""
    form_class = _form_class(operation)
    if not form_class.base_filters:
        return None
    initial = dict(_filled_in(operation, arguments)) if arguments else {}
    form = form_class(queryset=Sample.objects.none()).form
    form.initial = initial
    return form


@require_safe
def ask(request: HttpRequest) -> HttpResponse:
    """Lead from a filled in form to the query that it stands for. ``path`` says which endpoint's form it is.

    What the form cannot make sense of goes on as it is: the endpoint says what is wrong with it.
    """
    path = request.GET.get("path", "")
    operation = _operation_at(path)
    filled = _form_class(operation)(request.GET, queryset=Sample.objects.none())
    pairs = urlencode(list(_pairs(operation, filled)))
    prefix = request.META.get("SCRIPT_NAME", "").rstrip("/")
    return HttpResponseRedirect(f"{prefix}{quote(path)}{'?' if pairs else ''}{pairs}")


def _operation_at(path: str) -> Operation:
    # Only paths of the API: nobody is led elsewhere.
    view = getattr(resolve(path).func, "cls", None) if path.startswith("/v2/") else None
    operations: Mapping[str, Operation] = getattr(view, "operations", {})
    if "GET" not in operations:
        raise Http404(path)
    return operations["GET"]


@cache
def _form_class(operation: Operation) -> type[FilterSet]:
    return type("ArgumentForm", (FilterSet,), {**_condition_filters(operation), **_argument_filters(operation)})


def _condition_filters(operation: Operation) -> dict[str, Filter]:
    conditions = _conditions(operation)
    filters = {name: _condition_filter(condition) for name, condition in conditions.items()}
    free = operation.free_fields
    if operation.fields is None or free is None:
        return filters
    hint = forms.TextInput(attrs={"placeholder": free.hint})
    return {**filters, _FREE: CharFilter(label=free.label, widget=hint)}


def _conditions(operation: Operation) -> dict[str, _Condition]:
    fields = (operation.fields or frozenset()) - operation.given_fields
    return {name: condition for name, condition in _CONDITIONS.items() if condition.field in fields}


def _condition_filter(condition: _Condition) -> Filter:
    if not condition.is_time:
        return CharFilter(label=condition.label)
    picker = forms.DateTimeInput(attrs={"type": "datetime-local", "step": "1"}, format="%Y-%m-%dT%H:%M:%S")
    return IsoDateTimeFilter(label=condition.label, widget=picker)


def _argument_filters(operation: Operation) -> dict[str, Filter]:
    return {argument.name: _argument_filter(argument) for argument in operation.arguments if argument.label}


def _argument_filter(argument: Parameter) -> Filter:
    schema = argument.schema
    offered = argument.choices or schema.get("enum")
    if offered:
        choices = [(value, value) for value in offered]
        kind = MultipleChoiceFilter if argument.repeated else ChoiceFilter
        return kind(label=argument.label, choices=choices)
    if schema["type"] == "integer":
        return NumberFilter(label=argument.label, min_value=schema.get("minimum"), max_value=schema.get("maximum"))
    hint = forms.TextInput(attrs={"placeholder": argument.example or ""})
    return CharFilter(label=argument.label, widget=hint)


def _pairs(operation: Operation, filled: FilterSet) -> Iterator[tuple[str, str]]:
    """The query's parameters, from a form that was sent."""
    form = filled.form
    form.is_valid()
    conditions = _conditions(operation)
    for name in filled.filters:
        for value in _values(form, name):
            if name == _FREE:
                key, _, wanted = value.partition("=")
                field = f"{_free_prefix(operation)}{key.strip()}"
                yield from (("q.field", field), ("q.op", "eq"), ("q.value", wanted.strip()))
            elif name in conditions:
                condition = conditions[name]
                yield from (("q.field", condition.field), ("q.op", condition.operator), ("q.value", value))
            else:
                yield name, value


def _values(form: forms.Form, name: str) -> list[str]:
    """What was filled in, as texts; as it was sent where the field could not read it."""
    value = form.cleaned_data[name] if name in form.cleaned_data else form[name].value()
    texts = [_text(entry) for entry in (value if isinstance(value, list) else [value])]
    return [text for text in texts if text]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value.isoformat().removesuffix("+00:00") if isinstance(value, datetime) else str(value)


def _filled_in(operation: Operation, arguments: Arguments) -> Iterator[tuple[str, Any]]:
    """The form's fields as a request's arguments fill them in; of conditions, those that the form has a field for."""
    places = {(condition.field, condition.operator): name for name, condition in _conditions(operation).items()}
    for item in arguments.items:
        name = places.get((item.name, item.op))
        if name:
            yield name, item.value[:19] if _CONDITIONS[name].is_time else item.value
        elif item.name not in (operation.fields or ()) and item.op == "eq" and _is_free(operation, item.name):
            yield _FREE, f"{item.name.removeprefix(_free_prefix(operation))}={item.value}"
    for argument in operation.arguments:
        given = arguments.get_all(argument.name) if argument.label else []
        if given:
            is_list = argument.repeated and "enum" in argument.schema
            yield argument.name, given if is_list else given[0]


def _free_prefix(operation: Operation) -> str:
    return operation.free_fields.prefix if operation.free_fields else ""


def _is_free(operation: Operation, field: str) -> bool:
    return operation.free_fields is not None and field.startswith(operation.free_fields.prefix)
