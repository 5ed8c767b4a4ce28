"""``opentelemetryhttp://``: what a receiver of OTLP decodes with OpenTelemetry's own types."""

from __future__ import annotations

import ssl

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    AGGREGATION_TEMPORALITY_DELTA,
)

from agents.pipeline.publishers import opentelemetry

from .things import AT, outgoing, wait_until
from .web_server import make_certificate

SECOND = 1_000_000


def received(server):
    """All (resource attributes, metric) in the order they came."""
    found = []
    for post in server.posted:
        for resource_metrics in ExportMetricsServiceRequest.FromString(post.body).resource_metrics:
            attributes = {one.key: one.value.string_value for one in resource_metrics.resource.attributes}
            found += [(attributes, metric) for scope in resource_metrics.scope_metrics for metric in scope.metrics]
    return found


def points(server):
    """(start, time, value) of all sums; times in seconds after the first, None where a start is not known."""
    return [
        (
            (point.start_time_unix_nano - AT * 1000) / 10**9 if point.start_time_unix_nano else None,
            (point.time_unix_nano - AT * 1000) / 10**9,
            point.as_int,
        )
        for _, metric in received(server)
        for point in metric.sum.data_points
    ]


@pytest.fixture
def receiver(serve, publish_to):
    """Publish these samples; what a server then received."""

    def receive(samples, *, query=""):
        server = serve()
        publisher = publish_to(f"opentelemetryhttp://127.0.0.1:{server.port}{query}")
        publisher.publish_samples(samples)
        publisher.close(10)
        receive.state = publisher.state()
        return server

    return receive


def test_each_type_of_meter_is_sent_as_what_it_is(receiver):
    server = receiver(
        [
            outgoing(1, meter="memory.usage", type="gauge", unit="MB", volume="0.1", user=None),
            outgoing(2, meter="cpu", type="cumulative", unit="ns", volume="9007199254740993"),
            outgoing(3, meter="storage.api.request", type="delta", unit="request", volume="2"),
            outgoing(4, meter="huge", volume=str(2**63)),
        ]
    )
    (post,) = server.posted
    assert (post.path, post.headers["content-type"]) == ("/v1/metrics", "application/x-protobuf")
    (owner, gauge), (_, cumulative), (_, delta), (_, huge) = received(server)
    assert owner == {
        "service.name": "celometer",
        "service.instance.id": "vm-1",
        "resource_id": "vm-1",
        "project_id": "p1",
        "source": "openstack",
    }
    assert (gauge.name, gauge.unit, gauge.WhichOneof("data")) == ("memory.usage", "MB", "gauge")
    assert gauge.gauge.data_points[0].as_double == 0.1
    assert gauge.gauge.data_points[0].time_unix_nano == 1_700_000_000_000_000_000
    assert cumulative.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_CUMULATIVE
    assert cumulative.sum.is_monotonic and cumulative.sum.data_points[0].as_int == 9007199254740993
    assert delta.sum.aggregation_temporality == AGGREGATION_TEMPORALITY_DELTA
    assert delta.sum.is_monotonic and delta.sum.data_points[0].as_int == 2
    assert huge.gauge.data_points[0].as_double == 2.0**63


def test_a_counter_keeps_its_start_until_it_begins_anew(receiver):
    series = [(0, 10), (60, 20), (30, 15), (120, 5), (180, 7), (60, 20)]
    server = receiver(
        [outgoing(at, type="cumulative", volume=str(value), timestamp=AT + at * SECOND) for at, value in series]
    )
    assert points(server) == [
        (0, 0, 10),
        (0, 60, 20),
        (0, 30, 15),  # late, not a new beginning
        (60, 120, 5),  # went down: it began anew after the point before
        (60, 180, 7),
        (60, 60, 20),  # a point never ends before it starts
    ]


def test_a_delta_starts_where_the_one_before_ended(receiver):
    series = [(0, 1), (60, 2), (30, 3), (90, 4)]
    server = receiver([outgoing(at, type="delta", volume=str(v), timestamp=AT + at * SECOND) for at, v in series])
    assert points(server) == [(None, 0, 1), (0, 60, 2), (None, 30, 3), (60, 90, 4)]


def test_streams_of_different_owners_and_resources_have_nothing_to_do_with_one_another(receiver):
    server = receiver(
        [
            outgoing(1, type="cumulative", volume="10"),
            outgoing(2, type="cumulative", volume="5", resource="vm-2", timestamp=AT + SECOND),
            outgoing(3, type="cumulative", volume="5", project="p2", timestamp=AT + SECOND),
        ]
    )
    assert [start for start, _, _ in points(server)] == [0, 1, 1]


def test_the_streams_remembered_are_bounded(receiver, monkeypatch):
    monkeypatch.setattr(opentelemetry, "_REMEMBERED_STREAMS", 2)
    order = ["a", "b", "a", "c", "a", "b"]
    server = receiver(
        [outgoing(n, type="cumulative", resource=r, timestamp=AT + n * SECOND) for n, r in enumerate(order)]
    )
    assert [start for start, _, _ in points(server)] == [0, 1, 0, 3, 0, 5]


def test_a_negative_delta_is_dropped_for_a_sum_that_grows_cannot_go_down(receiver):
    server = receiver([outgoing(1, type="delta", volume="-1"), outgoing(2, type="delta", volume="3")])
    assert [value for _, _, value in points(server)] == [3]
    assert receiver.state[:3] == (1, 0, 1)


def test_many_points_go_in_few_requests_and_one_by_one_without_batch(receiver):
    samples = [outgoing(number, resource=f"vm-{number}") for number in range(300)]
    server = receiver(samples)
    assert [owner["resource_id"] for owner, _ in received(server)] == [f"vm-{number}" for number in range(300)]
    assert len(server.posted) <= 3
    assert len(receiver(samples[:5], query="/?batch=false").posted) == 5


def test_points_that_a_receiver_rejects_are_dropped_and_counted(serve, publish_to):
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = 2
    answer.partial_success.error_message = "too old; you are user with secret"
    server = serve((200, {}, answer.SerializeToString()))
    publisher = publish_to(f"opentelemetryhttp://user:secret@127.0.0.1:{server.port}/otlp")
    publisher.publish_samples([outgoing(number) for number in range(5)])
    wait_until(lambda: sum(publisher.state()[:3:2]) == 5)
    assert publisher.state() == (3, 0, 2, "it rejected points: 'too old; you are *** with ***'")
    assert server.posted[0].path == "/otlp" and server.posted[0].headers["authorization"].startswith("Basic ")


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff\xff"])
def test_an_answer_that_is_no_protobuf_is_a_good_one(serve, publish_to, body):
    publisher = publish_to(f"opentelemetryhttp://127.0.0.1:{serve((200, {}, body)).port}")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state() == (1, 0, 0, ""))


def test_a_receiver_that_fails_gets_it_later_and_one_that_refuses_never(serve, publish_to, short_pauses):
    server = serve(503, 500, 200, 400)
    publisher = publish_to(f"opentelemetryhttp://127.0.0.1:{server.port}")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state() == (1, 0, 0, ""))
    publisher.publish_samples([outgoing(2)])
    wait_until(lambda: publisher.state() == (1, 0, 1, "it answered 400 Bad Request"))


@pytest.mark.parametrize(
    "form", ["opentelemetryhttps://localhost:{}/?{}", "opentelemetryhttp://localhost:{}/?ssl=true&{}"]
)
def test_over_tls(serve, publish_to, tmp_path, form):
    certificate = make_certificate(tmp_path, "server")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key_path)
    server = serve(context=context)
    publisher = publish_to(form.format(server.port, f"verify_ssl={certificate.path}"))
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state() == (1, 0, 0, ""))
    assert server.posted[0].path == "/v1/metrics"
