"""Throttling: one bound for a caller whatever process is asked, said with its number and when to come back."""

from __future__ import annotations

import threading

import pytest
from django.db import connection
from django.test import Client, RequestFactory
from hypothesis import given
from hypothesis import strategies as st

from metering.api import throttling
from metering.api.throttling import _Blocks, address_of
from metering.models import RequestCount

from .conftest import Caller, fault

NOON = 1_800_000_000 - 1_800_000_000 % 60


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """The time of the API, which a test moves by ``clock[0] += seconds``."""
    now = [NOON]
    monkeypatch.setattr(throttling, "read_clock", lambda: now[0])
    return now


def test_what_goes_beyond_the_bound_is_told_when_to_come_back(member, settings, clock):
    settings.CELOMETER_API_REQUESTS_PER_MINUTE = 3
    clock[0] += 18
    assert [member.get("/v2/meters").status_code for _ in range(5)] == [200, 200, 200, 429, 429]
    answer = member.get("/v2/meters")
    assert answer["Retry-After"] == "42"
    assert answer.json()["error_message"]["code"] == "too_many_requests"
    assert "More than 3 requests" in fault(answer)
    assert "Try again in 42 s" in fault(answer)
    assert "CELOMETER_API_REQUESTS_PER_MINUTE" in fault(answer)
    clock[0] += 42
    assert member.get("/v2/meters").status_code == 200


def test_the_bound_is_a_tokens_own(member, stranger, settings):
    settings.CELOMETER_API_REQUESTS_PER_MINUTE = 1
    assert [member.get("/v2/meters").status_code for _ in range(2)] == [200, 429]
    assert stranger.get("/v2/meters").status_code == 200
    assert Caller("member").get("/v2/meters").status_code == 200


def test_sessions_are_counted_by_user(member, settings):
    settings.CELOMETER_API_REQUESTS_PER_MINUTE = 2
    first, second = Client(), Client()
    for client in (first, second):
        client.force_login(member.user)
    assert [client.get("/v2/meters").status_code for client in (first, second, first)] == [200, 200, 429]


def test_what_anybody_may_see_is_not_counted(db, settings):
    settings.CELOMETER_API_REQUESTS_PER_MINUTE = settings.CELOMETER_API_FAILURES_PER_MINUTE = 1
    assert [Client().get("/").status_code for _ in range(3)] == [200] * 3
    assert not RequestCount.objects.exists()


def test_wrong_tokens_are_counted_by_address_and_good_ones_go_on(member, settings):
    settings.CELOMETER_API_FAILURES_PER_MINUTE = 2
    wrong = Client(headers={"X-Auth-Token": "guessed"})
    assert [wrong.get("/v2/meters").status_code for _ in range(3)] == [401, 401, 429]
    answer = wrong.get("/v2/meters")
    assert "More than 2 refused tokens from one address" in fault(answer)
    assert int(answer["Retry-After"]) == 60
    assert member.get("/v2/meters").status_code == 200
    assert wrong.get("/v2/meters", REMOTE_ADDR="192.0.2.7").status_code == 401


def test_no_token_at_all_is_no_guess(db, settings):
    settings.CELOMETER_API_FAILURES_PER_MINUTE = 1
    assert [Client().get("/v2/meters").status_code for _ in range(3)] == [401] * 3


@given(
    bound=st.integers(1, 1500), askers=st.lists(st.integers(0, 3), min_size=1, max_size=60), times=st.integers(1, 40)
)
def test_all_processes_together_never_grant_more_than_the_bound(
    django_db_blocker, django_db_setup, bound, askers, times
):
    processes = [_Blocks() for _ in range(4)]
    key = "token:property"
    with django_db_blocker.unblock():
        RequestCount.objects.filter(key=key).delete()
        granted = sum(processes[asker].admit(key, bound=bound) for asker in askers for _ in range(times))
        RequestCount.objects.filter(key=key).delete()
    asked = len(askers) * times
    block = max(1, bound // 200)
    assert granted <= bound
    # What may be lost: the blocks that the others hold, and a rest that is no whole block.
    assert granted >= min(asked, bound - len(processes) * block)


def test_a_quiet_caller_costs_a_statement_a_minute_and_a_busy_one_a_two_hundredth(db, django_assert_num_queries, clock):
    blocks = _Blocks()
    with django_assert_num_queries(1):
        assert all(blocks.admit("token:1", bound=6000) for _ in range(30))
    with django_assert_num_queries(1):
        assert blocks.admit("token:1", bound=6000)
    clock[0] += 60
    with django_assert_num_queries(1):
        assert blocks.admit("token:1", bound=6000)


def test_a_refused_caller_costs_nothing_until_the_minute_is_over(db, django_assert_num_queries):
    blocks = _Blocks()
    assert [blocks.admit("token:1", bound=1) for _ in range(2)] == [True, False]
    with django_assert_num_queries(0):
        assert not any(blocks.admit("token:1", bound=1) for _ in range(10))


def test_a_process_whose_clock_is_behind_does_not_begin_the_minute_anew(db, clock):
    ahead, behind = _Blocks(), _Blocks()
    assert ahead.admit("token:1", bound=2)
    clock[0] -= 60
    assert behind.admit("token:1", bound=2)
    clock[0] += 60
    assert not ahead.admit("token:1", bound=2)


def test_threads_of_a_process_share_its_blocks(store):
    blocks, granted = _Blocks(), []

    def ask():
        granted.extend(blocks.admit("token:1", bound=50) for _ in range(20))
        connection.close()

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(granted) == 50


@pytest.mark.parametrize(("proxies", "forwarded", "expected"), [
    (0, "", "192.0.2.1"),
    (0, "203.0.113.9", "192.0.2.1"),
    (1, "203.0.113.9", "203.0.113.9"),
    (1, "6.6.6.6, 203.0.113.9", "203.0.113.9"),
    (2, "6.6.6.6, 203.0.113.9, 10.0.0.1", "203.0.113.9"),
    (2, "203.0.113.9", "192.0.2.1"),
    (1, "nonsense", None),
    (1, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
    (1, "::ffff:203.0.113.9", "203.0.113.9"),
])  # fmt: skip
def test_the_address_is_what_the_nearest_trusted_proxies_say(settings, proxies, forwarded, expected):
    settings.CELOMETER_PROXIES = proxies
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1", HTTP_X_FORWARDED_FOR=forwarded)
    assert address_of(request) == expected
