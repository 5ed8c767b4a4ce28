"""``GET /v2/capabilities``: what this server can do, in the names that Ceilometer's clients know."""

from __future__ import annotations

from django.conf import settings
from django.utils.module_loading import import_string
from rest_framework.request import Request
from rest_framework.response import Response

from metering.statistics import FUNCTIONS

from ..callers import Grant
from ..views import ApiView
from . import contract

__all__ = ["Capabilities", "describe"]


class Capabilities(ApiView):
    """What is missing in the answer, the server cannot do."""

    title = "Capabilities"
    summary = "What this server can do: of which lists, by which kinds of query, with which functions."
    operations = {"GET": contract.CAPABILITIES}
    examples = (("The beginning", "/"),)

    def authorize(self, request: Request, grant: Grant | None) -> None:
        """Every caller may know: also one who has no project yet."""
        self.caller = None

    def get(self, request: Request) -> Response:
        found: dict[str, dict[str, bool]] = {}
        for name in settings.CELOMETER_CAPABILITIES:
            for kind, words in import_string(name)().items():
                found.setdefault(kind, {}).update(words)
        return Response({kind: dict(sorted(words.items())) for kind, words in found.items()})


def describe() -> dict[str, dict[str, bool]]:
    """What metering can do."""
    return {
        "api": dict.fromkeys((*_QUERIES, *_FUNCTIONS), True),
        "storage": {"storage:production_ready": True},
        "event_storage": {"storage:production_ready": True},
    }


_QUERIES = (
    *(
        f"{name}:query:{way}"
        for name in ("meters", "resources", "samples", "statistics")
        for way in ("simple", "metadata")
    ),
    "samples:query:complex",
    "events:query:simple",
)
_FUNCTIONS = (
    "statistics:groupby",
    "statistics:aggregation:standard",
    *(f"statistics:aggregation:selectable:{function}" for function in FUNCTIONS),
)
