"""A question that needs samples from below a floor is told so; an answer from what is left would be wrong."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from metering.collector.ingestion import ingest
from metering.messages import Meter as SentMeter
from metering.models import Meter
from metering.retention.floors import raise_floor, read_floors
from tests.support.agents import EnrolledAgent, some_samples

pytestmark = pytest.mark.django_db
FLOOR = datetime(2020, 1, 6, tzinfo=UTC)


@pytest.fixture
def floors(db):
    """Two meters of one class; its floor has risen."""
    sample = some_samples(1)[0]
    ingest(EnrolledAgent().message([sample, sample._replace(meter=SentMeter("memory", "gauge", "MiB"))]))
    raise_floor("samples.standard", FLOOR)


def ask(client, path, *bounds):
    query = "&".join(f"q.field=timestamp&q.op={op}&q.value={value}" for op, value in bounds)
    return client.get(f"{path}?{query}")


PATHS = ("/v2/meters/cpu", "/v2/samples", "/v2/resources", "/v2/meters/cpu/statistics")


@pytest.mark.parametrize("path", PATHS)
def test_a_window_that_begins_below_the_floor_gets_410_with_the_floor(operator, floors, path):
    answer = ask(operator, path, ("ge", "2020-01-05T23:59:59"))
    assert answer.status_code == 410
    error = answer.json()["error_message"]
    assert (error["code"], error["value"]) == ("no_longer_kept", "2020-01-05T23:59:59+00:00")
    assert "2020-01-06T00:00:00Z" in error["faultstring"]


@pytest.mark.parametrize("path", PATHS)
def test_a_window_that_ends_below_the_floor_gets_410(operator, floors, path):
    assert ask(operator, path, ("lt", "2020-01-01T00:00:00")).status_code == 410


@pytest.mark.parametrize("path", PATHS)
def test_a_window_from_the_floor_on_and_no_window_at_all_are_answered(operator, floors, path):
    assert len(ask(operator, path, ("ge", "2020-01-06T00:00:00")).json()) >= 1
    assert len(operator.get(path).json()) >= 1


def test_a_meter_of_another_class_has_another_floor(operator, floors):
    Meter.objects.filter(name="memory").update(retention_class=7)
    early = ("ge", "2019-01-01T00:00:00")
    assert ask(operator, "/v2/meters/memory", early).status_code == 200
    assert ask(operator, "/v2/meters/cpu", early).status_code == 410
    assert "name a meter" in ask(operator, "/v2/samples", early).json()["error_message"]["faultstring"]


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ([{">=": {"timestamp": "2020-01-05T23:59:59"}}, {"=": {"type": "cumulative"}}], 410),
        ([{"<": {"timestamp": "2020-01-01"}}, {"=": {"type": "cumulative"}}], 410),
        ([{"=": {"timestamp": "2020-01-01"}}, {"=": {"meter": "cpu"}}], 410),
        ([{">": {"timestamp": "2019-01-01"}}, {"=": {"meter": "memory"}}], 200),
        ([{">": {"timestamp": "2019-01-01"}}, {">": {"timestamp": "2021-01-01"}}], 200),
        ([{">=": {"timestamp": "2020-01-06"}}, {"=": {"type": "cumulative"}}], 200),
        ([{"!=": {"timestamp": "2019-01-01"}}, {"=": {"type": "cumulative"}}], 200),
    ],
)
def test_the_window_that_a_complex_query_states_outright_is_looked_at_too(operator, floors, conditions, status):
    Meter.objects.filter(name="memory").update(retention_class=7)
    answer = operator.post("/v2/query/samples", {"filter": json.dumps({"and": conditions})})
    assert answer.status_code == status, answer.content


def test_a_floor_only_rises(floors):
    raise_floor("samples.standard", FLOOR - timedelta(days=70))
    assert read_floors().by_subject == {"samples.standard": FLOOR}
    raise_floor("samples.standard", timezone.now())
    assert read_floors().by_class[0] > FLOOR
