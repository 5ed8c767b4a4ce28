"""The body of a complex query: ``{"filter": text, "orderby": text, "limit": number}``, none of them needed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import HttpRequest

from metering.queries.errors import InvalidInput, QueryError, shorten

from .arguments import read_json

__all__ = ["query_text", "read_query", "whole_number"]

_KEYS = frozenset({"filter", "orderby", "limit"})


def read_query(request: HttpRequest) -> dict[str, Any]:
    """The body of a request: an object with these keys alone. Raises QueryError, Unacceptable."""
    body = read_json(request)
    if body is None:
        raise QueryError('Missing argument: "body"')
    if not isinstance(body, dict):
        raise InvalidInput(
            "body", type(body).__name__, "Wrong type. Expected an object with filter, orderby and limit."
        )
    for name in body:
        if name not in _KEYS:
            raise QueryError(f"Unknown attribute for argument body: {shorten(ascii(name)[1:-1])}", value=ascii(name))
    return body


def query_text(body: dict[str, Any], name: str) -> str | None:
    """``filter`` or ``orderby``. Raises InvalidInput for what is no text."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(name, value, "Wrong type. Expected text that holds JSON.")
    return value


def whole_number(value: Any) -> int:
    """As Python's int() reads it: text of a whole number, or a number, whose fraction is left out. Raises InvalidInput."""
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool) and _is_sane(value):
        try:
            return int(value)
        except ValueError as error:
            raise InvalidInput("limit", value, f"unable to convert to int. Error: {shorten(error)}") from error
    raise InvalidInput("limit", value, "unable to convert to int. Expected a number, or text of one.")


def _is_sane(value: str | int | Decimal) -> bool:
    return not isinstance(value, Decimal) or value.adjusted() < 100
