"""``POST /v2/query/samples``: samples by the complex query language."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework.request import Request
from rest_framework.response import Response

from metering.queries.complex import named_projects, parse_filter, parse_order
from metering.queries.search import FoundSample, SampleSearch, search_samples

from ..pages import Page
from ..query_body import query_text, read_query, whole_number
from ..views import ApiView
from . import contract
from .shapes import sample_shape

__all__ = ["SampleQuery"]


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
        body = read_query(request._request)
        written = query_text(body, "filter")
        expression = None if written is None else parse_filter(written)
        if expression is not None:
            self.check_projects(named_projects(expression))
        written = query_text(body, "orderby")
        search = SampleSearch(expression, None if written is None else parse_order(written))
        page = self._parse_page(search, body.get("limit"))
        rows = search_samples(search, scope=self.scope, limit=page.fetch_limit, after=page.after)
        return self.answer_page(page, rows, shape=_shape, position=lambda row: row.position)

    def _parse_page(self, search: SampleSearch, limit: Any) -> Page:
        """The page of this order: its markers hold what the order is by."""
        order = ", ".join(f"{key.field} {'desc' if key.descending else 'asc'}" for key in search.keys)
        name = f"query/samples by {order}"
        checked = self.check_limit(settings.CELOMETER_API_DEFAULT_LIMIT if limit is None else whole_number(limit))
        return Page(name, checked, self.parse_marker(name, search.read_position))


def _shape(found: FoundSample) -> dict[str, Any]:
    return sample_shape(found.sample)
