"""``GET /``: which versions of the API there are, in the words that OpenStack's clients expect."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from .errors import NotFound
from .operations import Answer, Operation
from .views import SINCE_WEEK, OpenView

__all__ = ["NoSuchPath", "Versions"]

LIST_VERSIONS = Operation(
    {
        200: Answer(
            "The versions, as OpenStack's clients expect them",
            {"$ref": "#/components/schemas/Versions"},
            {
                "versions": {
                    "values": [
                        {"id": "v2", "status": "stable", "links": [{"rel": "self", "href": "http://localhost:8777/v2"}]}
                    ]
                }
            },
        )
    }
)


class Versions(OpenView):
    title = "Celometer"
    summary = (
        "Who used what, how much, when: measurements of a cloud, signed where they were taken and stored exactly once. "
        "Programs send an API token (manage.py token NAME prints one); people log in."
    )
    operations = {"GET": LIST_VERSIONS, "POST": LIST_VERSIONS}
    examples = (
        ("Meters", "/v2/meters?unique=True"),
        ("Resources", "/v2/resources?meter_links=0"),
        ("The newest samples", "/v2/samples?limit=20"),
        ("Alarms", "/v2/alarms"),
        ("Statistics of CPU time, by hour of the last week", "/v2/meters/cpu/statistics?period=3600&" + SINCE_WEEK),
    )

    def get(self, request: Request) -> Response:
        return Response({"versions": {"values": [_version_2(self.absolute("/v2"))]}})

    def post(self, request: Request) -> Response:
        return self.get(request)


def _version_2(url: str) -> dict[str, object]:
    """Upstream's tests compare all of this, so it names XML, which is refused with 406 like every other type but JSON."""
    return {
        "id": "v2",
        "status": "stable",
        "updated": "2013-02-13T00:00:00Z",
        "links": [
            {"rel": "self", "href": url},
            {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"},
        ],
        "media-types": [
            {"base": "application/json", "type": "application/vnd.openstack.telemetry-v2+json"},
            {"base": "application/xml", "type": "application/vnd.openstack.telemetry-v2+xml"},
        ],
    }


class NoSuchPath(OpenView):
    """Every path under the API that leads nowhere: 404 in the API's own shape, whoever asks and by whatever method."""

    title = "Nothing here"
    summary = "No page of the API has this path."
    # Refused before anything is looked at, so it takes nothing.
    operations = {"GET": Operation({})}
    schema = None
    examples = (("The beginning", "/"),)

    def initial(self, request: Request, *args: object, **kwargs: object) -> None:
        raise NotFound("Path", request.path)
