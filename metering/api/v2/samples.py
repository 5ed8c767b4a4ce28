"""``/v2/samples``: samples of all meters, newest first."""

from __future__ import annotations

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from metering.queries.samples import SampleRow, find_sample, list_samples
from metering.queries.simple import SAMPLE_FIELDS
from metering.queries.values import read_time

from ..errors import NotFound
from ..paths import name_in_path
from ..views import ApiView
from .shapes import sample_shape

__all__ = ["SAMPLE_PAGES", "SampleDetail", "SampleList", "sample_position"]

# What the markers of lists of samples, newest first, hold.
SAMPLE_PAGES = ("samples", read_time, UUID)


def sample_position(row: SampleRow) -> tuple[object, ...]:
    return row.timestamp, row.id


class SampleList(ApiView):
    title = "Samples"
    summary = (
        "Single measurements of all meters, the newest first. Equal times stand in the order in which they were stored."
    )
    known_arguments = frozenset({"q", "limit", "marker"})
    examples = (
        ("The three newest", "/v2/samples?limit=3"),
        ("Since the beginning of 2026", "/v2/samples?q.field=timestamp&q.op=ge&q.value=2026-01-01"),
        ("Of one meter", "/v2/samples?q.field=meter&q.value=cpu"),
        ("Of resources in a state", "/v2/samples?q.field=metadata.state&q.value=running"),
    )

    def get(self, request: Request) -> Response:
        page = self.parse_page(*SAMPLE_PAGES)
        wanted = self.parse_filter(SAMPLE_FIELDS)
        rows = list_samples(wanted, scope=self.scope, limit=page.fetch_limit, after=page.after)
        return self.answer_page(page, rows, shape=sample_shape, position=sample_position)


class SampleDetail(ApiView):
    title = "Sample"
    summary = "One measurement, with the description of its resource at that time."
    examples = (("All samples", "/v2/samples"),)

    def get(self, request: Request, sample_id: str) -> Response:
        row = find_sample(name_in_path(sample_id), scope=self.scope)
        if row is None:
            raise NotFound("Sample", sample_id)
        return Response(sample_shape(row))
