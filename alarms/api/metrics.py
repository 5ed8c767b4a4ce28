"""``/v2/metrics``: where Aodh counts evaluations, if it is told to. Here they are not counted: that is answered as it does by default."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from metering.api.callers import denied
from metering.api.operations import Operation, switch
from metering.api.views import ApiView

__all__ = ["EvaluationMetrics"]


class EvaluationMetrics(ApiView):
    title = "Counts of evaluations"
    summary = (
        "Not kept: an evaluation that changes nothing leaves no trace. The history of alarms has every transition."
    )
    operations = {"GET": Operation({}, arguments=(switch("all_projects", "Changes nothing."),))}
    schema = None
    examples = (("Alarms", "/v2/alarms"),)

    def get(self, request: Request) -> Response:
        raise denied(
            "evaluations are not counted here: POST /v2/query/alarms/history has every transition", code="disabled"
        )
