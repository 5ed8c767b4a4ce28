"""``/v2/resources``: what is measured."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from metering.queries.resources import find_resource, list_resources

from ..errors import NotFound
from ..operations import Parameter
from ..paths import name_in_path
from ..views import SINCE_DAY, ApiView
from . import contract
from .shapes import resource_shape

__all__ = ["ResourceDetail", "ResourceList"]


class ResourceList(ApiView):
    title = "Resources"
    summary = (
        "Everything that has samples, by id. Times, owner and metadata are those of the samples that match the filter; "
        "each resource links to its meters."
    )
    operations = {"GET": contract.LIST_RESOURCES}
    examples = (
        ("Without links to meters", "/v2/resources?meter_links=0"),
        ("Metered since yesterday", "/v2/resources?" + SINCE_DAY),
        (
            "That were in a state since yesterday",
            f"/v2/resources?q.field=metadata.state&q.op=eq&q.value=running&{SINCE_DAY}",
        ),
    )

    def get(self, request: Request) -> Response:
        with_meters = self.arguments.integer("meter_links", 1) != 0
        page = self.parse_page("resources", str)
        rows = list_resources(
            self.parse_filter(),
            scope=self.scope,
            limit=page.fetch_limit,
            with_meters=with_meters,
            after=page.after[0] if page.after else None,
        )
        return self.answer_page(
            page, rows, shape=lambda row: resource_shape(row, self.absolute), position=lambda row: (row.resource_id,)
        )


class ResourceDetail(ApiView):
    title = "Resource"
    summary = "One resource as its newest sample describes it, with links to its meters."
    operations = {"GET": contract.SHOW_RESOURCE}
    path_parameters = (Parameter("resource_id", "The resource's id.", example="r1"),)
    examples = (("All resources", "/v2/resources"),)

    def get(self, request: Request, resource_id: str) -> Response:
        name = name_in_path(resource_id)
        row = find_resource(name, scope=self.scope)
        if row is None:
            raise NotFound("Resource", name)
        return Response(resource_shape(row, self.absolute))
