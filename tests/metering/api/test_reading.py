"""What the endpoints answer: shapes, numbers, times, links."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.api import throttling
from metering.api.renderers import exact
from metering.messages import sample_id
from tests.support.samples import at, make_sample, store, store_samples

START = at("2016-01-05T10:00:00")


def test_a_sample_has_the_twelve_fields_of_version_2(member):
    posted = store(volume=12, metadata={"a": {"b": {"c": 1}}}, timestamp=START + timedelta(microseconds=123456))
    (row,) = member.rows("/v2/samples")
    assert row.pop("recorded_at")
    assert row == {
        "id": str(sample_id(posted.batch_id, 0)),
        "meter": "cpu_util",
        "type": "gauge",
        "unit": "%",
        "volume": 12.0,
        "user_id": "u1",
        "project_id": "p1",
        "resource_id": "r1",
        "source": "openstack",
        "timestamp": "2016-01-05T10:00:00.123456",
        "metadata": {"a.b:c": "1"},
    }
    assert member.rows(f"/v2/samples/{row['id']}")["volume"] == 12.0


def test_samples_of_a_meter_have_their_first_names(member):
    store()
    store(meter="memory")
    (row,) = member.rows("/v2/meters/cpu_util")
    assert set(row) == {
        "source", "counter_name", "counter_type", "counter_unit", "counter_volume", "user_id", "project_id", "resource_id",
        "timestamp", "recorded_at", "resource_metadata", "message_id",
    }  # fmt: skip
    assert row["timestamp"] == "2016-01-05T10:00:00"
    assert member.rows("/v2/meters/cpu_util?q.field=meter&q.value=memory") == [row]
    assert member.rows("/v2/meters/noexist") == []


def test_meters_carry_the_id_that_clients_know(member):
    store(meter="m")
    (row,) = member.rows("/v2/meters")
    assert row["meter_id"] == "cjErbQ=="
    (row,) = member.rows("/v2/meters?unique=True")
    assert row == {
        "name": "m", "type": "gauge", "unit": "%", "resource_id": None, "project_id": None, "user_id": None, "source": None,
        "meter_id": "Tm9uZStt",
    }  # fmt: skip


def test_a_resource_links_to_itself_first_then_to_its_meters(member):
    store(resource="a/b c", meter="cpu")
    store(resource="a/b c", meter="net rx")
    (row,) = member.rows("/v2/resources")
    assert [link["rel"] for link in row["links"]] == ["self", "cpu", "net rx"]
    for link in row["links"]:
        assert member.rows(link["href"].removeprefix("http://testserver"))
    (row,) = member.rows("/v2/resources?meter_links=0")
    assert [link["rel"] for link in row["links"]] == ["self"]


@pytest.mark.parametrize("path", ["a/b", "a%2Fb", "a%252Fb"])
def test_a_resource_with_a_slash_is_found_however_it_is_escaped(member, path):
    store(resource="a/b")
    assert member.rows(f"/v2/resources/{path}")["resource_id"] == "a/b"


def test_links_carry_the_prefix_and_the_public_name(member):
    store()
    answer = member.get(
        "/v2/resources/r1", headers={"X-Forwarded-Proto": "https"}, SCRIPT_NAME="/telemetry", HTTP_HOST="testserver"
    )
    assert answer.json()["links"][0]["href"] == "https://testserver/telemetry/v2/resources/r1"


def test_numbers_are_exact_and_integers_look_like_floats(member):
    store_samples(
        [make_sample(volume=9007199254740993), make_sample(volume="0.10", timestamp=START + timedelta(seconds=1))]
    )
    body = member.get("/v2/meters/cpu_util").content
    assert b'"counter_volume":9007199254740993.0,' in body
    assert b'"counter_volume":0.1,' in body
    body = member.get("/v2/meters/cpu_util/statistics").content
    assert b'"sum":9007199254740993.1,' in body
    assert b'"avg":4503599627370496.55,' in body
    assert b'"count":2' in body
    assert b'"duration":1.0,' in body


@pytest.mark.parametrize(
    ("value", "text"),
    [("1", "1.0"), ("1.50", "1.5"), ("-0.10", "-0.1"), ("0", "0.0"), ("1E+2", "100.0"), ("1.00", "1.0")],
)
def test_exact_numbers_print_every_digit_and_no_more(value, text):
    assert msgspec.json.Encoder(decimal_format="number").encode(exact(Decimal(value))).decode() == text


def test_statistics_have_all_fields(member):
    store_samples([make_sample(volume=volume, timestamp=START + timedelta(minutes=volume)) for volume in (2, 4)])
    assert member.rows("/v2/meters/cpu_util/statistics?groupby=project_id&period=7200") == [
        {
            "groupby": {"project_id": "p1"}, "unit": "%", "period": 7200,
            "period_start": "2016-01-05T10:02:00", "period_end": "2016-01-05T12:02:00",
            "duration": 120.0, "duration_start": "2016-01-05T10:02:00", "duration_end": "2016-01-05T10:04:00",
            "min": 2.0, "max": 4.0, "avg": 3.0, "sum": 6.0, "count": 2,
        }
    ]  # fmt: skip
    (row,) = member.rows("/v2/meters/cpu_util/statistics")
    assert row["groupby"] is None
    assert row["period"] == 0
    assert member.rows("/v2/meters/none/statistics") == []


def test_statistics_by_the_days_of_a_zone(member):
    store_samples([make_sample(volume=n, timestamp=f"2016-01-05T{hour}:30:00") for n, hour in enumerate((10, 22, 23))])
    rows = member.rows("/v2/meters/cpu_util/statistics?period=day&tz=Europe/Berlin")
    assert [(row["period_start"], row["period_end"], row["period"], row["sum"]) for row in rows] == [
        ("2016-01-04T23:00:00", "2016-01-05T23:00:00", 86400, 1.0),
        ("2016-01-05T23:00:00", "2016-01-06T23:00:00", 86400, 2.0),
    ]
    (row,) = member.rows("/v2/meters/cpu_util/statistics?period=month")
    assert (row["period_start"], row["period_end"], row["count"]) == ("2016-01-01T00:00:00", "2016-02-01T00:00:00", 3)


def test_functions_over_steps_and_order(member):
    volumes = (5, 8, 2)
    store_samples([make_sample(volume=v, timestamp=START + timedelta(minutes=30 * n)) for n, v in enumerate(volumes)])
    functions = ("increase", "rate", "integral", "first", "last")
    chosen = "".join(f"&aggregate.func={name}" for name in functions)
    window = (
        "q.field=timestamp&q.op=ge&q.value=2016-01-05T10:00:00&q.field=timestamp&q.op=lt&q.value=2016-01-05T11:30:00"
    )
    (row,) = member.rows(f"/v2/meters/cpu_util/statistics?{window}{chosen}")
    assert row["aggregate"] == {
        "increase": 5.0, "rate": pytest.approx(5 / 5400), "integral": 7.5, "first": 5.0, "last": 2.0,
    }  # fmt: skip
    path = "/v2/meters/cpu_util/statistics?aggregate.func=percentile&aggregate.param="
    assert [member.rows(path + p)[0]["aggregate"][f"percentile/{p}"] for p in ("0", "50", "99.9")] == [2.0, 5.0, 8.0]


def test_statistics_group_by_any_metadata_key(member):
    for n, name in enumerate(("a", "a", None)):
        store(
            volume=n + 1, timestamp=START + timedelta(minutes=n), metadata={"display": {"name": name}} if name else {}
        )
    for key in ("resource_metadata.display.name", "resource_metadata.display:name"):
        rows = member.rows(f"/v2/meters/cpu_util/statistics?groupby={key}&groupby=project_id")
        assert [(row["groupby"], row["sum"]) for row in rows] == [
            ({key: "a", "project_id": "p1"}, 3.0),
            ({key: None, "project_id": "p1"}, 3.0),
        ]


def test_operators_see_how_an_answer_is_found(member, operator):
    path = "/v2/meters/cpu_util/statistics?explain=true&period=3600"
    assert "samples" in operator.get(path).headers["X-Celometer-Plan"]
    assert "X-Celometer-Plan" not in member.get(path).headers


def test_chosen_functions_are_all_that_a_row_has(member):
    store()
    path = "/v2/meters/cpu_util/statistics?aggregate.func=cardinality&aggregate.param=resource_id&aggregate.func=count"
    (row,) = member.rows(path)
    assert row["aggregate"] == {"cardinality/resource_id": 1.0, "count": 1.0}
    assert row["count"] == 1
    assert not {"min", "max", "avg", "sum"} & set(row)


def test_a_query_may_stand_in_a_json_body(operator):
    store(resource="r1")
    store(resource="r2")
    body = {"q": [{"field": "resource_id", "op": "eq", "value": "r2"}], "limit": 1}
    answer = operator.client.generic("GET", "/v2/samples", msgspec.json.encode(body), content_type="application/json")
    assert [row["resource_id"] for row in answer.json()] == ["r2"]
    body = {"groupby": ["resource_id"], "period": "60", "aggregate": [{"func": "max"}]}
    answer = operator.client.generic(
        "GET", "/v2/meters/cpu_util/statistics", msgspec.json.encode(body), content_type="application/json"
    )
    assert [row["groupby"] for row in answer.json()] == [{"resource_id": "r1"}, {"resource_id": "r2"}]


def test_trailing_slashes_are_accepted(member):
    store()
    for path in ("meters", "meters/cpu_util", "meters/cpu_util/statistics", "resources", "resources/r1", "samples"):
        assert member.rows(f"/v2/{path}/") == member.rows(f"/v2/{path}"), path


def test_every_list_defaults_to_a_hundred(member, settings):
    settings.CELOMETER_API_DEFAULT_LIMIT = 3
    store_samples([make_sample(resource=f"r{number}") for number in range(5)])
    for path in ("meters", "meters/cpu_util", "resources", "samples"):
        assert len(member.rows(f"/v2/{path}")) == 3
        assert len(member.rows(f"/v2/{path}?limit=4")) == 4


@pytest.mark.parametrize(
    "path",
    [
        "meters",
        "meters?unique=1",
        "meters/cpu_util",
        "meters/cpu_util/statistics?period=60",
        "resources",
        "resources/r1",
        "samples",
    ],
)
def test_a_request_is_one_statement_for_the_token_and_one_for_data(member, path, monkeypatch):
    store_samples([make_sample(resource=f"r{number}") for number in range(20)])
    # The first request of a minute also keeps the token's last use and takes a block of its bound.
    monkeypatch.setattr(throttling, "read_clock", lambda: 1_800_000_000)
    member.rows(f"/v2/{path}")
    with CaptureQueriesContext(connection) as queries:
        member.rows(f"/v2/{path}")
    statements = [query["sql"] for query in queries]
    assert len([sql for sql in statements if "metering_apitoken" in sql]) == 1
    assert len([sql for sql in statements if "metering_sample" in sql]) == 1
    # Some look up meters or classes first, and again afterwards.
    assert len(statements) <= 4, statements


def test_versions_are_told_to_anybody(client, db):
    answer = client.get("/")
    (version,) = answer.json()["versions"]["values"]
    assert version["links"][0] == {"rel": "self", "href": "http://testserver/v2"}
    assert client.post("/").status_code == 200
    assert client.get("/v2").status_code == 404


def test_health_needs_no_store_and_readiness_does(client):
    # Without a database fixture any statement would fail this test.
    assert client.get("/healthz").json() == {"status": "alive"}


def test_ready_means_that_the_store_is_migrated(client, db):
    assert client.get("/readyz").json() == {"status": "ready"}
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'metering' AND name LIKE '0002%'")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "metering.0002_partitioned_tables" in answer.json()["reason"]
