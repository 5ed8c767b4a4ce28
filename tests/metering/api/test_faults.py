"""When the store is away or slow: said so, in the API's shape, without a trace."""

from __future__ import annotations

import threading

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from tests.support.samples import make_sample, store_samples
from tests.support.samples import store as store_sample

from .conftest import Caller, fault


@pytest.fixture
def store_away(db):
    """A connection to a port where nobody listens, as after a crash of the server."""
    original = connections["default"]
    address = {**original.settings_dict, "HOST": "127.0.0.1", "PORT": "9"}
    stranded = original.__class__(address, alias="default")
    # The test's own transaction keeps its connection; requests get one that cannot connect.
    connections["default"] = stranded
    yield
    connections["default"] = original


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
@pytest.mark.parametrize("path", ["/v2/meters", "/v2/samples", "/v2/meters/cpu/statistics"])
def test_a_store_that_is_away_is_503_with_retry_after(operator, store_away, path, accept):
    answer = operator.get(path, headers={"Accept": accept})
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert b"Traceback" not in answer.content
    if accept == "application/json":
        message = answer.json()["error_message"]
        assert (message["faultcode"], message["code"]) == ("Server", "store_away")


def test_pages_beside_the_api_say_so_too(store_away):
    answer = Client(raise_request_exception=False).post("/login/", {"username": "a", "password": "b"})
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


def test_the_first_page_and_health_do_without_the_store(store_away):
    assert Client().get("/").status_code == 200
    assert Client().get("/", headers={"Accept": "text/html"}).status_code == 200
    assert Client().get("/healthz").status_code == 200
    answer = Client().get("/readyz")
    assert answer.status_code == 503
    assert "does not answer" in answer.json()["reason"]


def test_a_query_that_takes_too_long_is_told_what_helps(operator, settings):
    store_sample()
    # Every look at the meters takes a second.
    settings.CELOMETER_QUERY_TIMEOUT_SECONDS = 0.05
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE metering_meter RENAME TO metering_meter_real")
        cursor.execute("CREATE VIEW metering_meter AS SELECT real.* FROM metering_meter_real real, pg_sleep(1)")
    for ask in (
        lambda: operator.get("/v2/meters/cpu_util/statistics"),
        lambda: operator.post("/v2/query/samples", {"filter": '{"=~": {"meter": "^(a+)+$"}}'}),
        lambda: operator.post("/v2/query/samples", {"orderby": '[{"volume": "asc"}]'}),
    ):
        with transaction.atomic():
            answer = ask()
            transaction.set_rollback(True)
        assert answer.status_code == 503
        assert "Narrow the time range" in fault(answer)
        assert answer.json()["error_message"]["code"] == "query_timeout"
    # The same process answers on.
    assert operator.get("/v2/capabilities").status_code == 200


def test_after_a_query_that_was_stopped_the_next_one_is_answered(store, settings):
    operator = Caller("operator", operator=True)
    store_samples([make_sample()])
    settings.CELOMETER_QUERY_TIMEOUT_SECONDS = 0.2
    locked, release = threading.Event(), threading.Event()

    def hold_the_samples():
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE metering_sample IN ACCESS EXCLUSIVE MODE")
            locked.set()
            release.wait(30)
        connection.close()

    holder = threading.Thread(target=hold_the_samples)
    holder.start()
    try:
        assert locked.wait(10)
        assert operator.get("/v2/meters/cpu_util/statistics").status_code == 503
    finally:
        release.set()
        holder.join()
    (row,) = operator.rows("/v2/meters/cpu_util/statistics")
    assert row["count"] == 1
