"""``prometheus://``: what a scrape sees."""

from __future__ import annotations

import socket
import urllib.request

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from agents.pipeline.publishers import prometheus
from agents.pipeline.publishers.prometheus import PrometheusPublisher

from .things import AT, event, outgoing


class Endpoint:
    """A publisher on a free port, and a scraper."""

    def __init__(self, query="", host="127.0.0.1"):
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as free:
            port = free.getsockname()[1]
        self.place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.publisher = PrometheusPublisher(f"prometheus://{self.place}{query}")

    def scrape(self, accept=""):
        request = urllib.request.Request(f"http://{self.place}/metrics", headers={"Accept": accept})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read().decode()

    def series(self):
        return {
            (sample.name, sample.labels["resource_id"]): sample.value
            for family in parse_text(self.scrape())
            for sample in family.samples
        }


@pytest.fixture
def endpoint():
    opened = []

    def open_it(query="", **options):
        opened.append(Endpoint(query, **options))
        return opened[-1]

    yield open_it
    for one in opened:
        one.publisher.close(5)


def test_each_type_of_meter_is_shown_as_what_it_is(endpoint):
    it = endpoint()
    it.publisher.publish_samples(
        [
            outgoing(1, meter="memory.usage", type="gauge", unit="MB", volume="12.5"),
            outgoing(2, meter="cpu", type="cumulative", unit="ns", volume="9007199254740993"),
            outgoing(3, meter="storage-api.request", type="delta", unit="request", volume="2"),
            outgoing(4, meter="storage-api.request", type="delta", unit="request", volume="0.5"),
        ]
    )
    labels = 'project_id="p1",resource_id="vm-1",source="openstack",user_id="u1"'
    assert it.scrape().splitlines() == [
        "# HELP cpu_total cpu in ns",
        "# TYPE cpu_total counter",
        f"cpu_total{{{labels}}} 9.007199254740992e+15",
        "# HELP memory_usage memory.usage in MB",
        "# TYPE memory_usage gauge",
        f"memory_usage{{{labels}}} 12.5",
        "# HELP storage_api_request_total storage-api.request in request",
        "# TYPE storage_api_request_total counter",
        f"storage_api_request_total{{{labels}}} 2.5",
    ]
    assert it.publisher.state() == (4, 0, 0, "")


def test_the_newest_by_its_own_time_is_shown_in_whatever_order_they_come(endpoint):
    it = endpoint()
    for seconds, volume in ((1, "10"), (3, "30"), (2, "20")):
        it.publisher.publish_samples([outgoing(seconds, volume=volume, timestamp=AT + seconds)])
    assert it.series() == {("cpu", "vm-1"): 30}


def test_a_delta_that_comes_again_is_added_once(endpoint):
    it = endpoint()
    again = [outgoing(1, type="delta", volume="1"), outgoing(2, type="delta", volume="5")]
    it.publisher.publish_samples(again)
    it.publisher.publish_samples(again)
    assert it.series() == {("cpu_total", "vm-1"): 6}


def test_a_negative_delta_is_dropped_for_a_counter_cannot_go_down(endpoint):
    it = endpoint()
    it.publisher.publish_samples([outgoing(1, type="delta", volume="5"), outgoing(2, type="delta", volume="-1")])
    assert it.series() == {("cpu_total", "vm-1"): 5}
    assert it.publisher.state() == (1, 0, 1, "a counter cannot go down, and cpu came with the delta -1")


def test_labels_are_escaped_and_what_is_not_known_is_empty(endpoint):
    it = endpoint()
    it.publisher.publish_samples([outgoing(1, resource='a"b\\c\nd é', project=None, user=None)])
    (family,) = parse_text(it.scrape())
    assert family.samples[0].labels == {
        "resource_id": 'a"b\\c\nd é',
        "project_id": "",
        "user_id": "",
        "source": "openstack",
    }


def test_a_text_that_is_no_utf8_is_dropped_and_the_rest_can_be_scraped(endpoint):
    it = endpoint()
    it.publisher.publish_samples([outgoing(1, resource="caf\udce9"), outgoing(2)])
    assert it.series() == {("cpu", "vm-1"): 1}
    assert it.publisher.state()[:3] == (1, 0, 1)


def test_series_that_are_not_updated_any_more_go(endpoint, monkeypatch):
    it = endpoint("?expire_minutes=3")
    now = 1000.0
    monkeypatch.setattr(prometheus.time, "monotonic", lambda: now)
    it.publisher.publish_samples([outgoing(1, resource="old"), outgoing(2, resource="kept")])
    now += 179
    it.publisher.publish_samples([outgoing(3, resource="kept", timestamp=AT + 1)])
    assert set(it.series()) == {("cpu", "old"), ("cpu", "kept")}
    now += 2
    assert set(it.series()) == {("cpu", "kept")}


def test_the_number_of_series_is_bounded_and_what_is_above_is_dropped_and_counted(endpoint, caplog):
    it = endpoint("?max_series=2")
    it.publisher.publish_samples([outgoing(number, resource=f"vm-{number}") for number in range(5)])
    it.publisher.publish_samples([outgoing(9, resource="vm-1", volume="7", timestamp=AT + 1)])
    assert it.series() == {("cpu", "vm-0"): 1, ("cpu", "vm-1"): 7}
    assert it.publisher.state() == (3, 0, 3, "")
    assert len([record for record in caplog.records if "drops what it is given" in record.message]) == 1


def test_series_that_went_make_room(endpoint, monkeypatch):
    it = endpoint("?max_series=1&expire_minutes=1")
    now = 1000.0
    monkeypatch.setattr(prometheus.time, "monotonic", lambda: now)
    it.publisher.publish_samples([outgoing(1, resource="a")])
    now += 61
    it.publisher.publish_samples([outgoing(2, resource="b", meter="other")])
    assert set(it.series()) == {("other", "b")}


def test_events_are_dropped_and_counted(endpoint):
    it = endpoint()
    it.publisher.publish_events([event(1), event(2)])
    assert it.publisher.state().dropped == 2


def test_closing_frees_the_port(endpoint):
    it = endpoint()
    it.publisher.close(5)
    again = PrometheusPublisher(f"prometheus://{it.place}")
    again.close(5)
    it.publisher.publish_samples([outgoing()])
    assert it.publisher.state().dropped == 1


def test_who_connects_and_says_nothing_is_hung_up_on(endpoint, monkeypatch, capfd):
    monkeypatch.setattr(prometheus, "_SILENCE_SECONDS", 0.05)
    it = endpoint()
    host, _, port = it.place.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as silent:
        assert silent.recv(1) == b""
    it.publisher.publish_samples([outgoing()])
    assert it.series() == {("cpu", "vm-1"): 1}
    assert capfd.readouterr().err == ""


def test_it_listens_on_ipv6(endpoint):
    it = endpoint(host="::1")
    it.publisher.publish_samples([outgoing()])
    assert it.series() == {("cpu", "vm-1"): 1}


def test_openmetrics_is_answered_to_who_asks_for_it(endpoint):
    it = endpoint()
    it.publisher.publish_samples([outgoing(1, type="cumulative")])
    text = it.scrape("application/openmetrics-text; version=1.0.0")
    assert text.endswith("# EOF\n")
    (family,) = parse_openmetrics(text)
    assert (family.name, family.type) == ("cpu", "counter")


# Names that meet when they are sanitised, and those that the formats give to lines of their own.
awkward = st.sampled_from(
    [
        *("a.b", "a_b", "a-b", "a b", "a\nb", "a\\b", "a:b", "a_b_total", "a.b.total", "a_b_total_total"),
        *("a_b_created", "a_b_gauge", "a_b_delta", "a_b_bucket", "a_b_info", "a_b_sum", "a_b_count"),
        *("1a", "_1a", "_total", "total", "é", "_", ""),
    ]
)


@settings(max_examples=300)
@given(
    st.lists(
        st.tuples(awkward, st.sampled_from(["gauge", "delta", "cumulative"]), st.sampled_from(["B", "", "\n\\"])),
        max_size=12,
    )
)
def test_whatever_meters_are_called_both_formats_are_valid_and_no_series_is_hidden(meters):
    families = prometheus._Families(max_series=1000, expire_seconds=600)
    for number, (name, type, unit) in enumerate(meters):
        assert families.take(outgoing(number, meter=name, type=type, unit=unit)) == ""
    registry = CollectorRegistry()
    registry.register(families)
    for text, parse in (
        (generate_latest(registry).decode(), parse_text),
        (openmetrics.generate_latest(registry).decode(), parse_openmetrics),
    ):
        shown = [sample.name for family in parse(text) for sample in family.samples]
        declared = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
        assert len(set(shown)) == len(shown) == len(set(meters))
        assert len(set(declared)) == len(declared)
