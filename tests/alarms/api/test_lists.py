"""Lists of alarms and histories: filters, order, pages, complex queries (spec §4.2, §4.3)."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alarms.models import Alarm, AlarmChange
from tests.support.defined_alarms import make_alarm

from .conftest import Caller, assert_refused, make

START = datetime(2026, 1, 5, 10, tzinfo=UTC)


def rule(meter):
    return {"meter_name": meter, "threshold": 1.0, "query": []}


@pytest.fixture
def some(db):
    """Alarms of p1, an hour apart, and one of p9."""
    shown = [
        {"name": "a", "severity": 1, "state": "ok", "enabled": True, "repeat_actions": True, "user_id": "u1", "rule": rule("cpu")},
        {"name": "b", "severity": 3, "state": "alarm", "enabled": False, "user_id": "u2", "rule": rule("disk")},
        {"name": "c", "severity": 2, "state": "insufficient data", "user_id": "u1", "type": "gone", "rule": {"metric": "cpu"},
         "actions": {"alarm": ["http://hooks.example/x"]}},
        {"name": "d", "severity": 2, "state": "alarm", "user_id": "u1", "type": "event", "rule": {"event_type": "x", "query": []}},
    ]  # fmt: skip
    ids = [make_alarm(project="p1", at=START + timedelta(hours=n), **fields) for n, fields in enumerate(shown)]
    make_alarm(project="p9", name="z", user_id="u1", severity=3)
    return ids


def names(caller, asked=""):
    return "".join(row["name"] for row in caller.rows(f"/v2/alarms?{asked}"))


def where(**fields):
    return "&".join(f"q.field={field}&q.op=eq&q.value={value}" for field, value in fields.items())


@pytest.mark.parametrize(("asked", "found"), [
    ("", "dcba"),
    (where(name="a"), "a"),
    (where(user="u2"), "b"), (where(user_id="u1"), "dca"), (where(project="p1"), "dcba"), (where(project_id="p1", name="b"), "b"),
    (where(state="alarm"), "db"), (where(state="insufficient data"), "c"),
    (where(enabled="true"), "dca"), (where(enabled="True"), "dca"), (where(enabled="0"), "b"),
    (where(enabled="false") + "&q.type=boolean", "b"),
    (where(repeat_actions="yes"), "a"),
    (where(severity="moderate"), "dc"), (where(type="event"), "d"), (where(type="gone"), "c"), (where(type="nope"), ""),
    (where(meter="cpu"), "ca"), (where(alarm_id="nope"), ""),
    (where(all_projects="false"), "dcba"),
    (where(name="a") + "&" + where(name="b"), "ba"),
    (where(name="a") + "&" + where(name="b") + "&" + where(severity="critical"), "b"),
    ("q.field=timestamp&q.op=ge&q.value=2026-01-05T12:00:00", "dc"),
    ("q.field=timestamp&q.op=gt&q.value=2026-01-05T10:00:00&q.field=timestamp&q.op=lt&q.value=2026-01-05T13:00:00", "cb"),
    ("q.field=timestamp&q.op=eq&q.value=2026-01-05T11:00:00", "b"),
    ("sort=name", "abcd"), ("sort=name:desc", "dcba"), ("sort=severity", "adcb"), ("sort=severity:desc&sort=name:asc", "bcda"),
    ("sort=enabled&sort=name", "bacd"), ("sort=state:asc&sort=timestamp:asc", "bdca"), ("sort=type:ASC", "dcba"),
    ("sort=state_timestamp", "abcd"), ("sort=user_id&sort=name", "acdb"), ("sort=project_id", "dcba"), ("sort=repeat_actions", "dcba"),
    ("limit=2", "dc"), ("limit=0", "dcba"),
])  # fmt: skip
def test_alarms_are_filtered_and_ordered(member, some, asked, found):
    assert names(member, asked) == found


def test_an_id_is_a_field_too(member, some):
    assert names(member, where(alarm_id=some[0])) == "a"
    assert sorted(names(member, "sort=alarm_id")) == list("abcd")


def test_a_question_in_the_body_is_the_same(member, some):
    body = json.dumps({"q": [{"field": "state", "op": "eq", "value": "alarm"}]})
    answer = member.client.generic("GET", "/v2/alarms", body, content_type="application/json")
    assert [row["name"] for row in answer.json()] == ["d", "b"]


def test_operators_see_all_and_can_see_less(operator, some):
    assert sorted(names(operator)) == list("abcdz")
    assert sorted(names(operator, where(all_projects="true"))) == list("abcdz")
    assert names(operator, where(project_id="p9")) == "z"
    assert names(operator, where(all_projects="false")) == ""
    assert names(Caller("operator", **{"X-Project-Id": "p9"}), where(all_projects="false")) == "z"


def test_others_see_their_own_whatever_they_ask(member, some):
    assert_refused(member.get(f"/v2/alarms?{where(project_id='p9')}"), 401, "Not Authorized to access project p9")
    assert_refused(member.get(f"/v2/alarms?{where(all_projects='true')}"), 403, "RBAC Authorization Failed")


def test_a_row_of_a_type_that_is_no_longer_there_is_shown(member, some):
    shown = member.rows(f"/v2/alarms/{some[2]}")
    assert (shown["type"], shown["gone_rule"]) == ("gone", {"metric": "cpu"})
    assert member.client.delete(f"/v2/alarms/{some[2]}").status_code == 204


FILTERS = [
    (None, "dcba"),
    ({"=": {"name": "a"}}, "a"), ({"!=": {"name": "a"}}, "dcb"), ({"in": {"name": ["a", "d"]}}, "da"), ({"=~": {"name": "^[ab]$"}}, "ba"),
    ({"<": {"name": "c"}}, "ba"), ({">=": {"name": "c"}}, "dc"), ({"=>": {"name": "c"}}, "dc"), ({"=<": {"name": "b"}}, "ba"),
    ({"=": {"enabled": True}}, "dca"), ({"!=": {"repeat_actions": True}}, "dcb"),
    ({"=": {"severity": "critical"}}, "b"), ({">": {"severity": "low"}}, "dcb"), ({"in": {"severity": ["low", "critical"]}}, "ba"),
    ({"=": {"user": "u2"}}, "b"), ({"=": {"user_id": "u2"}}, "b"), ({"=": {"project": "p1"}}, "dcba"),
    ({"<": {"timestamp": "2026-01-05T12:00:00"}}, "ba"), ({"=": {"state_timestamp": "2026-01-05T12:00:00"}}, "c"),
    ({"=": {"state": "alarm"}}, "db"), ({"=": {"type": "gone"}}, "c"), ({"=~": {"rule": "disk"}}, "b"),
    ({"=~": {"alarm_actions": "hooks"}}, "c"), ({"=~": {"state_reason": "evaluated"}}, "dcba"), ({"=": {"description": "a"}}, "a"),
    ({"and": [{"=": {"user": "u1"}}, {"or": [{"=": {"state": "ok"}}, {"=": {"state": "alarm"}}]}]}, "da"),
    ({"AND": [{"=": {"user": "u1"}}, {"Not": {"=": {"state": "ok"}}}]}, "dc"),
    ({"=": {"alarm_id": "nope"}}, ""), ({"!=": {"alarm_id": "nope"}}, "dcba"),
]  # fmt: skip


@pytest.mark.parametrize(("filter", "found"), FILTERS)
def test_alarms_are_found_by_a_complex_query(member, some, filter, found):
    body = {} if filter is None else {"filter": json.dumps(filter)}
    answer = member.post("/v2/query/alarms", body)
    assert answer.status_code == 200, answer.content
    assert "".join(row["name"] for row in answer.json()) == found


@pytest.mark.parametrize(("order", "found"), [
    ([], "dcba"), ([{"name": "asc"}], "abcd"), ([{"name": "DESC"}], "dcba"), ([{"severity": "desc"}, {"name": "asc"}], "bcda"),
    ([{"enabled": "asc"}, {"timestamp": "asc"}], "bacd"), ([{"user": "asc"}, {"state_timestamp": "desc"}], "dcab"),
])  # fmt: skip
def test_complex_queries_have_an_order_and_a_limit(member, some, order, found):
    for limit in (1, "2", 10):
        answer = member.post("/v2/query/alarms", {"orderby": json.dumps(order), "limit": limit})
        assert "".join(row["name"] for row in answer.json()) == found[: int(limit)]


def test_alarms_are_found_by_id(member, some):
    for operator, found in (("=", "a"), ("!=", "dcb")):
        answer = member.post("/v2/query/alarms", {"filter": json.dumps({operator: {"alarm_id": some[0]}})})
        assert "".join(row["name"] for row in answer.json()) == found


def test_complex_queries_are_about_ones_own(member, operator, some):
    mine, theirs = {"=": {"name": "z"}}, {"not": {"=": {"project_id": "p9"}}}
    assert member.post("/v2/query/alarms", {"filter": json.dumps(mine)}).json() == []
    for path in ("/v2/query/alarms", "/v2/query/alarms/history"):
        answer = member.post(path, {"filter": json.dumps(theirs)})
        assert_refused(answer, 401, "Not Authorized to access project p9")
    assert len(operator.post("/v2/query/alarms", {}).json()) == 5
    assert (
        len(operator.post("/v2/query/alarms/history", {"filter": json.dumps({"=": {"on_behalf_of": "p9"}})}).json())
        == 1
    )
    assert member.post("/v2/query/alarms/history", {"filter": json.dumps({"=": {"on_behalf_of": "p9"}})}).json() == []


def follow(caller, path, body=None):
    """Every entry of a list, by its links."""
    found = []
    while path:
        answer = caller.get(path) if body is None else caller.post(path, body)
        assert answer.status_code == 200, answer.content
        found += answer.json()
        link = re.match(r'<http://testserver(.*)>; rel="next"', answer.headers.get("Link", ""))
        path = link[1] if link else None
    return found


gently = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
keys = st.lists(
    st.tuples(st.sampled_from(["enabled", "name", "type", "severity", "timestamp", "user_id", "state", "state_timestamp", "alarm_id"]),
              st.sampled_from(["", ":asc", ":desc"])).map("".join), max_size=3,
)  # fmt: skip


@gently
@given(sort=keys, limit=st.integers(1, 7))
def test_whoever_follows_the_links_sees_every_alarm_once_in_order(member, sort, limit):
    if not Alarm.objects.exists():
        for n in range(20):
            at = START + timedelta(hours=n % 3)
            make_alarm(
                project=("p1", "p9")[n % 5 == 4], name="ab"[n % 2], severity=n % 3 + 1, user_id=f"u{n % 4}", at=at
            )
    asked = "&".join(f"sort={key}" for key in sort)
    whole = member.rows(f"/v2/alarms?{asked}")
    assert len(whole) == 16
    assert follow(member, f"/v2/alarms?{asked}&limit={limit}") == whole


@gently
@given(sort=st.lists(st.sampled_from(["user_id", "severity:desc", "user_id:desc", "type", "severity", "project_id:desc"]), max_size=3),
       limit=st.integers(1, 5))  # fmt: skip
def test_and_every_row_of_a_history_also_where_fields_are_empty(member, sort, limit):
    alarm_id = next(iter(AlarmChange.objects.values_list("alarm_id", flat=True)), None) or make_alarm(project="p1")
    if AlarmChange.objects.count() == 1:
        for n in range(9):
            AlarmChange.objects.create(
                alarm_id=alarm_id, type="state transition", detail={}, user_id=(None, "u1", "u2")[n % 3], on_behalf_of="p1",
                severity=(None, 1, 2)[n // 3], project_id=(None, "p1")[n % 2],
            )  # fmt: skip
    asked = "&".join(f"sort={key}" for key in sort)
    whole = member.rows(f"/v2/alarms/{alarm_id}/history?{asked}")
    assert len(whole) == 10
    assert follow(member, f"/v2/alarms/{alarm_id}/history?{asked}&limit={limit}") == whole


def test_complex_queries_are_paged_too(member, some):
    order = {"orderby": json.dumps([{"severity": "desc"}]), "limit": 1}
    assert "".join(row["name"] for row in follow(member, "/v2/query/alarms", order)) == "bdca"
    assert len(follow(member, "/v2/query/alarms/history", {"limit": 3})) == 4


def test_a_marker_of_somebody_elses_is_none(member, some):
    foreign = str(Alarm.objects.get(project_id="p9").id)
    unknown = "00000000-0000-4000-8000-000000000000"
    answers = [member.get(f"/v2/alarms?marker={marker}") for marker in (foreign, unknown)]
    assert [answer.status_code for answer in answers] == [400, 400]
    assert answers[0].content.decode().replace(foreign, unknown) == answers[1].content.decode()


def test_the_longest_page_is_a_thousand(member, settings):
    settings.CELOMETER_ALARM_MAX_LIMIT = 3
    for n in range(5):
        make(member, name=str(n))
    answer = member.get("/v2/alarms")
    assert len(answer.json()) == 3
    assert len(follow(member, "/v2/alarms")) == 5
