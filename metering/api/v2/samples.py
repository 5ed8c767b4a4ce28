"""``/v2/samples``: samples of all meters, newest first."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from metering.queries.samples import find_sample, list_samples
from metering.queries.simple import SAMPLE_FIELDS

from ..errors import NotFound
from ..paths import name_in_path
from ..views import ApiView
from .shapes import sample_shape

__all__ = ["SampleDetail", "SampleList"]


class SampleList(ApiView):
    title = "Samples"
    summary = (
        "Single measurements of all meters, the newest first. Equal times stand in the order in which they were stored."
    )
    known_arguments = frozenset({"q", "limit"})
    examples = (
        ("The three newest", "/v2/samples?limit=3"),
        ("Since the beginning of 2026", "/v2/samples?q.field=timestamp&q.op=ge&q.value=2026-01-01"),
        ("Of one meter", "/v2/samples?q.field=meter&q.value=cpu"),
        ("Of resources in a state", "/v2/samples?q.field=metadata.state&q.value=running"),
    )

    def get(self, request: Request) -> Response:
        limit = self.parse_limit()
        rows = list_samples(self.parse_filter(SAMPLE_FIELDS), scope=self.scope, limit=limit)
        return Response([sample_shape(row) for row in rows])


class SampleDetail(ApiView):
    title = "Sample"
    summary = "One measurement, with the description of its resource at that time."
    examples = (("All samples", "/v2/samples"),)

    def get(self, request: Request, sample_id: str) -> Response:
        row = find_sample(name_in_path(sample_id), scope=self.scope)
        if row is None:
            raise NotFound("Sample", sample_id)
        return Response(sample_shape(row))
