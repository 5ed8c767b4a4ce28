"""``/v2/samples``: samples of all meters, newest first."""

from __future__ import annotations

from uuid import UUID

from rest_framework.request import Request
from rest_framework.response import Response

from metering.queries.samples import SampleRow, find_sample, list_samples
from metering.queries.values import read_time

from ..errors import NotFound
from ..operations import Parameter
from ..paths import name_in_path
from ..views import SINCE_DAY, ApiView
from . import contract
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
    operations = {"GET": contract.LIST_SAMPLES}
    examples = (
        ("The three newest", "/v2/samples?limit=3"),
        ("Since yesterday", "/v2/samples?" + SINCE_DAY),
        ("Of one meter", "/v2/samples?q.field=meter&q.op=eq&q.value=cpu"),
        (
            "Of resources in a state since yesterday",
            f"/v2/samples?q.field=metadata.state&q.op=eq&q.value=running&{SINCE_DAY}",
        ),
    )

    def get(self, request: Request) -> Response:
        page = self.parse_page(*SAMPLE_PAGES)
        wanted = self.parse_filter()
        rows = list_samples(wanted, scope=self.scope, limit=page.fetch_limit, after=page.after)
        return self.answer_page(page, rows, shape=sample_shape, position=sample_position)


class SampleDetail(ApiView):
    title = "Sample"
    summary = "One measurement, with the description of its resource at that time."
    operations = {"GET": contract.SHOW_SAMPLE}
    path_parameters = (Parameter("sample_id", "The sample's id.", {"type": "string", "format": "uuid"}),)
    examples = (("All samples", "/v2/samples"),)

    def get(self, request: Request, sample_id: str) -> Response:
        row = find_sample(name_in_path(sample_id), scope=self.scope)
        if row is None:
            raise NotFound("Sample", sample_id)
        return Response(sample_shape(row))
