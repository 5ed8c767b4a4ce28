"""``/v2/meters``: which meters there are; the samples and statistics of one; posting samples to it."""

from __future__ import annotations

from rest_framework.request import Request
from rest_framework.response import Response

from metering.models import TokenScope
from metering.queries.meters import list_meters, list_unique_meters
from metering.queries.samples import list_samples
from metering.statistics import (
    CalendarPeriod,
    StatisticsRequest,
    compute,
    explain,
    parse_aggregates,
    parse_groups,
    parse_period,
)

from ..operations import Parameter
from ..paths import name_in_path, sample_path
from ..views import SINCE_MONTH, SINCE_WEEK, ApiView
from . import contract
from .posting import echo_samples
from .samples import SAMPLE_PAGES, sample_position
from .shapes import meter_shape, old_sample_shape, statistics_shape
from .storing import store_posted

__all__ = ["MeterDetail", "MeterList", "MeterStatistics"]

METER_NAME = Parameter("meter", "The meter's name. A slash in it is escaped twice.", example="cpu_util")


class MeterList(ApiView):
    title = "Meters"
    summary = "What is measured of which resource: one entry for each meter of each resource, in the order they first appeared."
    operations = {"GET": contract.LIST_METERS}
    examples = (
        ("Each meter once", "/v2/meters?unique=True"),
        ("Meters of one resource", "/v2/meters?q.field=resource_id&q.value=r1"),
        ("All that is measured, up to 1,000 entries", "/v2/meters?limit=1000"),
    )

    def get(self, request: Request) -> Response:
        is_unique = self.arguments.boolean("unique")
        page = self.parse_page("unique meters", str, str, str) if is_unique else self.parse_page("meters", int)
        wanted = self.parse_filter()
        if is_unique:
            rows = list_unique_meters(wanted, scope=self.scope, limit=page.fetch_limit, after=page.after)
            return self.answer_page(page, rows, shape=meter_shape, position=lambda row: (row.name, row.unit, row.type))
        after = page.after[0] if page.after else None
        rows = list_meters(wanted, scope=self.scope, limit=page.fetch_limit, after=after)
        return self.answer_page(page, rows, shape=meter_shape, position=lambda row: (row.series_id,))


class MeterDetail(ApiView):
    title = "Samples of one meter"
    summary = "The newest first. POST a list of samples to store them: all or none, before the answer."
    operations = {"GET": contract.LIST_METER_SAMPLES, "POST": contract.POST_SAMPLES}
    path_parameters = (METER_NAME,)
    writing_scope = TokenScope.SAMPLES
    examples = (
        ("Statistics by hour of the last week", "{path}/statistics?period=3600&" + SINCE_WEEK),
        ("The newest sample", "{path}?limit=1"),
        ("All meters", "/v2/meters"),
    )

    def get(self, request: Request, meter: str) -> Response:
        page = self.parse_page(*SAMPLE_PAGES)
        wanted = self.parse_filter().for_meter(name_in_path(meter))
        rows = list_samples(wanted, scope=self.scope, limit=page.fetch_limit, after=page.after)
        return self.answer_page(page, rows, shape=old_sample_shape, position=sample_position)

    def post(self, request: Request, meter: str) -> Response:
        assert self.caller is not None
        # Taken as version 2 has it. Its value changes nothing: samples are stored before the answer, directly or not.
        self.arguments.boolean("direct")
        samples, posted = store_posted(request, meter=name_in_path(meter), caller=self.caller)
        echoed = echo_samples(samples, batch_id=posted.batch_id)
        headers = {
            "X-Celometer-Batch": str(posted.batch_id),
            "X-Celometer-Position": f"0-{len(samples) - 1}",
        }
        if len(echoed) == 1:
            headers["Location"] = self.absolute(sample_path(echoed[0]["message_id"]))
        # 202: kept safe, but its part of the store is still being made.
        return Response(echoed, status=202 if posted.parked else 201, headers=headers)


class MeterStatistics(ApiView):
    title = "Statistics of one meter"
    summary = (
        "Count, least, greatest, sum and average of a meter's volumes, for all time or by period. Rows are split by unit, "
        "and by the fields given as groupby. Sums of a cumulative meter add up counter readings: that is rarely what you want."
    )
    operations = {"GET": contract.COMPUTE_STATISTICS}
    path_parameters = (METER_NAME,)
    examples = (
        ("By hour", "{path}?period=3600&" + SINCE_WEEK),
        ("By resource", "{path}?groupby=resource_id&" + SINCE_WEEK),
        ("By project and day", "{path}?groupby=project_id&period=86400&" + SINCE_MONTH),
        ("By week, as it is in Berlin", "{path}?period=week&tz=Europe/Berlin&" + SINCE_MONTH),
        ("What a counter gained, by day", "{path}?aggregate.func=increase&period=day&" + SINCE_MONTH),
        ("Chosen functions", "{path}?aggregate.func=max&aggregate.func=stddev&" + SINCE_WEEK),
        ("In a window", "{path}?" + SINCE_MONTH + "&q.field=timestamp&q.op=lt&q.value={week}"),
    )

    def get(self, request: Request, meter: str) -> Response:
        period = parse_period(self.arguments.text("period", "0"), self.arguments.text("tz", None))
        is_calendar = isinstance(period, CalendarPeriod)
        statistics = StatisticsRequest(
            wanted=self.parse_filter().for_meter(name_in_path(meter)),
            scope=self.scope,
            groups=parse_groups(self.arguments.get_all("groupby")),
            period_seconds=0 if is_calendar else period,
            calendar=period if is_calendar else None,
            aggregates=parse_aggregates(
                self.arguments.get_all("aggregate.func"), self.arguments.get_all("aggregate.param")
            ),
        )
        # How the store keeps its data is the operators' business.
        explained = self.arguments.boolean("explain") and self.scope.projects is None
        headers = {"X-Celometer-Plan": explain(statistics)} if explained else {}
        return Response([statistics_shape(row, statistics) for row in compute(statistics)], headers=headers)
