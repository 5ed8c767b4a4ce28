"""``POST /v2/query/samples``: samples by the complex query language."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from metering.queries.complex import named_projects, parse_filter, parse_order
from metering.queries.errors import InvalidInput, QueryError, shorten
from metering.queries.search import FoundSample, SampleSearch, search_samples

from ..arguments import read_json
from ..pages import Page
from ..views import ApiView
from . import contract
from .shapes import sample_shape

__all__ = ["SampleQuery"]

_KEYS = frozenset({"filter", "orderby", "limit"})


class SampleQuery(ApiView):
    """POST alone. Checked in this order: the body's form, filter (400), its projects (401), order-by, limit, marker (400)."""

    title = "Complex query for samples"
    summary = (
        "POST a filter of and, or, not, in, =~ and comparisons, both it and the order as text that holds JSON. Without them: "
        "everything, the newest first. By time the answer comes from an index; any other order reads and sorts all that matches."
    )
    operations = {"POST": contract.QUERY_SAMPLES}
    examples = (("Samples", "/v2/samples"), ("What this server can do", "/v2/capabilities"))

    def post(self, request: Request) -> Response:
        body = _check_body(read_json(request._request))
        written = _text(body, "filter")
        expression = None if written is None else parse_filter(written)
        if expression is not None:
            self.check_projects(named_projects(expression))
        written = _text(body, "orderby")
        search = SampleSearch(expression, None if written is None else parse_order(written))
        page = self._parse_page(search, body.get("limit"))
        rows = search_samples(search, scope=self.scope, limit=page.fetch_limit, after=page.after)
        return self.answer_page(page, rows, shape=_shape, position=lambda row: row.position)

    def _parse_page(self, search: SampleSearch, limit: Any) -> Page:
        """The page of this order: its markers hold what the order is by."""
        order = ", ".join(f"{key.field} {'desc' if key.descending else 'asc'}" for key in search.keys)
        name = f"query/samples by {order}"
        checked = self.check_limit(settings.CELOMETER_API_DEFAULT_LIMIT if limit is None else _whole_number(limit))
        return Page(name, checked, self.parse_marker(name, search.read_position))


def _shape(found: FoundSample) -> dict[str, Any]:
    return sample_shape(found.sample)


def _check_body(body: Any) -> dict[str, Any]:
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


def _text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise InvalidInput(name, value, "Wrong type. Expected text that holds JSON.")
    return value


def _whole_number(value: Any) -> int:
    """As Python's int() reads it: text of a whole number, or a number, whose fraction is left out. Raises InvalidInput."""
    if isinstance(value, str | int | Decimal) and not isinstance(value, bool) and _is_sane(value):
        try:
            return int(value)
        except ValueError as error:
            raise InvalidInput("limit", value, f"unable to convert to int. Error: {shorten(error)}") from error
    raise InvalidInput("limit", value, "unable to convert to int. Expected a number, or text of one.")


def _is_sane(value: str | int | Decimal) -> bool:
    return not isinstance(value, Decimal) or value.adjusted() < 100
