"""``opentelemetryhttp://`` and ``opentelemetryhttps://``: OTLP over HTTP in protobuf, made of the types that OpenTelemetry's SDK uses.

A gauge is a gauge, a cumulative meter a monotonic cumulative sum, a delta a monotonic delta sum. Whose a point is, its resource says.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from decimal import Decimal
from typing import ClassVar, NamedTuple

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource as ResourceAttributes

from ...contract import Outgoing, Resource, Sample
from .address import masked, parse_address
from .buffer import Entry, Outcome
from .buffered import BufferedPublisher, limits_of
from .web_target import WebTarget

__all__ = ["OpenTelemetryPublisher"]

_BATCH_BYTES = 512 * 1024
_REMEMBERED_STREAMS = 100_000
_SCOPE = InstrumentationScope(name="celometer")
_LARGEST_INTEGER = 2**63


class OpenTelemetryPublisher(BufferedPublisher):
    """Takes samples only. Volumes that are whole numbers below 2^63 travel exactly, others as doubles."""

    schemes: ClassVar[tuple[str, ...]] = ("opentelemetryhttp", "opentelemetryhttps")

    def __init__(self, url: str) -> None:
        address = parse_address(url)
        tls = address.scheme == "opentelemetryhttps" or address.values["ssl"]
        self._url = url
        self._target = WebTarget(address, tls=tls, default_port=4318, default_path="/v1/metrics")
        self._streams = _Streams()
        limits = limits_of(address)._replace(batch_bytes=_BATCH_BYTES)
        super().__init__(address, limits if address.values["batch"] else limits._replace(batch_entries=1))

    def sample_entry(self, outgoing: Outgoing) -> Entry:
        # A request of one point: put behind one another, such requests are one request of all of them.
        request = ExportMetricsServiceRequest(resource_metrics=[_resource_metrics(outgoing.sample, self._streams)])
        return Entry("", request.SerializeToString())

    def send(self, batch: Sequence[Entry], timeout_seconds: float) -> Outcome:
        body = b"".join(entry.body for entry in batch)
        answer = self._target.post(body, {"content-type": "application/x-protobuf"}, timeout_seconds=timeout_seconds)
        return answer.outcome(batch) if answer.error else self._partial(answer.body, len(batch))

    def release(self) -> None:
        self._target.close()

    def _partial(self, body: bytes, most: int) -> Outcome:
        """A receiver may take a request and say that it rejected some of its points."""
        try:
            said = ExportMetricsServiceResponse.FromString(body).partial_success
        except DecodeError:
            return Outcome()
        rejected = min(max(0, said.rejected_data_points), most)
        if not rejected:
            return Outcome()
        return Outcome(refused=rejected, error=f"it rejected points: {masked(said.error_message[:200], self._url)!r}")


class _Stream(NamedTuple):
    """What is known of the points of one meter of one resource so far; times in µs."""

    started_at: int
    last_at: int
    last: Decimal


class _Streams:
    """When what each stream counts began, as far as one can tell from its points; the streams used last are remembered.

    A counter that is seen for the first time began before, nobody knows when: its first point begins at its own time, as OpenTelemetry's
    data model has it for unknown beginnings. One that went down began anew after its point before.
    """

    def __init__(self) -> None:
        self._streams: OrderedDict[tuple[str, ...], _Stream] = OrderedDict()

    def start_of(self, sample: Sample) -> int:
        """µs; 0 where it is not known."""
        meter, resource, at, volume = sample
        key = (
            meter.name,
            meter.type,
            meter.unit,
            resource.id,
            resource.project or "",
            resource.user or "",
            resource.source,
        )
        value = Decimal(volume)
        stream = self._streams.pop(key, None)
        began_anew = stream is not None and at > stream.last_at and value < stream.last
        if stream is None:
            start, stream = (0 if meter.type == "delta" else at), _Stream(at, at, value)
        elif meter.type == "delta":
            start = stream.last_at if at > stream.last_at else 0
        else:
            stream = stream._replace(started_at=stream.last_at) if began_anew else stream
            start = min(stream.started_at, at)
        if at > stream.last_at:
            stream = stream._replace(last_at=at, last=value)
        self._streams[key] = stream
        if len(self._streams) > _REMEMBERED_STREAMS:
            self._streams.popitem(last=False)
        return start


def _resource_metrics(sample: Sample, streams: _Streams) -> ResourceMetrics:
    meter, _, at, volume = sample
    point = NumberDataPoint(time_unix_nano=1000 * at)
    if "." not in volume and abs(int(volume)) < _LARGEST_INTEGER:
        point.as_int = int(volume)
    else:
        point.as_double = float(volume)
    metric = Metric(name=meter.name, unit=meter.unit)
    if meter.type == "gauge":
        metric.gauge.CopyFrom(Gauge(data_points=[point]))
    else:
        is_delta = meter.type == "delta"
        if is_delta and volume.startswith("-"):
            raise ValueError(f"{meter.name} came with the delta {volume}, and a sum that only grows cannot go down")
        point.start_time_unix_nano = 1000 * streams.start_of(sample)
        kind = AGGREGATION_TEMPORALITY_DELTA if is_delta else AGGREGATION_TEMPORALITY_CUMULATIVE
        metric.sum.CopyFrom(Sum(data_points=[point], aggregation_temporality=kind, is_monotonic=True))
    return ResourceMetrics(
        resource=_attributes(sample.resource), scope_metrics=[ScopeMetrics(scope=_SCOPE, metrics=[metric])]
    )


def _attributes(resource: Resource) -> ResourceAttributes:
    """The first two are what receivers tell streams apart by (Prometheus: job and instance)."""
    attributes = {
        "service.name": "celometer",
        "service.instance.id": resource.id,
        "resource_id": resource.id,
        "project_id": resource.project,
        "user_id": resource.user,
        "source": resource.source,
    }
    return ResourceAttributes(
        attributes=[
            KeyValue(key=key, value=AnyValue(string_value=value))
            for key, value in attributes.items()
            if value is not None
        ]
    )
