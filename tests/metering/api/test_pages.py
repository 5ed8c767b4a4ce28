"""Pages: whoever follows the links sees every entry once, in the order of the whole list."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.samples import at, make_sample, store, store_samples

from .conftest import fault

START = at("2016-01-05T10:00:00")
LISTS = ("/v2/meters", "/v2/meters?unique=True", "/v2/meters/m1", "/v2/samples", "/v2/resources", "/v2/query/samples")
gently = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def next_path(answer):
    """The path of the next page; None where the list ends."""
    if "Link" not in answer:
        return None
    return re.fullmatch(r'<http://testserver(/[^>]*)>; rel="next"', answer["Link"])[1]


def ask(caller, path, query=None):
    """One page. Queries stand in a body, which is sent again with every link."""
    if path.startswith("/v2/query/"):
        return caller.post(path, query or {})
    return caller.get(path)


def walk(caller, path, limits, between=lambda: None):
    """All pages from the path on, whose limits are taken from ``limits`` in turn."""
    rows = []
    while path is not None:
        limit = next(limits)
        url = urlsplit(path)
        pairs = [pair for pair in parse_qsl(url.query) if pair[0] != "limit"]
        if not url.path.startswith("/v2/query/"):
            pairs.append(("limit", str(limit)))
        answer = ask(caller, f"{url.path}?{urlencode(pairs)}", {"limit": limit})
        assert answer.status_code == 200, answer.content
        assert 0 < len(answer.json()) <= limit
        rows += answer.json()
        assert len(rows) < 500
        path = next_path(answer)
        between()
    return rows


@pytest.fixture
def many(db):
    """Samples of three meters and nine resources, many of them at one time; some of a neighbour."""
    store_samples(
        [
            make_sample(
                meter=f"m{n % 3}",
                unit=("B", "%")[n % 7 == 0],
                resource=f"r {n * 5 % 9}/ä",
                project=("p1", "p1", "p2")[n // 9 % 3],
                volume=n,
                timestamp=START + timedelta(seconds=n * 13 % 5),
            )
            for n in range(60)
        ]
    )


@gently
@given(
    path=st.sampled_from(LISTS), limits=st.lists(st.integers(1, 20), min_size=1, max_size=30), everybody=st.booleans()
)
def test_all_pages_together_are_the_whole_list(many, operator, member, path, limits, everybody):
    caller = operator if everybody else member
    whole = ask(caller, path).json()
    endless = iter([*limits, *[100] * 60])
    assert walk(caller, path, endless) == whole
    assert len(whole) > 3


@pytest.mark.parametrize("path", ["/v2/samples", "/v2/meters/m1", "/v2/query/samples"])
def test_samples_that_arrive_meanwhile_neither_double_nor_hide_any(many, operator, path):
    whole = ask(operator, path).json()
    arrivals = iter(range(1000))

    def arrive():
        # One newer than all, one at the time at which many are, one older than all.
        for second in (10, 3, -10):
            store(meter="m1", volume=1000 + next(arrivals), resource="new", timestamp=START + timedelta(seconds=second))

    rows = walk(operator, path, iter([7] * 60), between=arrive)
    ids = [row.get("id", row.get("message_id")) for row in rows]
    assert len(set(ids)) == len(ids)
    before = [row.get("id", row.get("message_id")) for row in whole]
    assert [seen for seen in ids if seen in set(before)] == before


def test_meters_and_resources_that_appear_meanwhile_neither_double_nor_hide_any(many, operator):
    for path, key in (("/v2/meters", "meter_id"), ("/v2/resources", "resource_id"), ("/v2/meters?unique=1", "name")):
        whole = [(row[key], row.get("unit")) for row in operator.rows(path)]
        names = iter("aqz" * 30)
        rows = walk(operator, path, iter([2] * 90), between=lambda names=names: store(meter="m9", resource=next(names)))
        seen = [(row[key], row.get("unit")) for row in rows]
        assert len(set(seen)) == len(seen)
        assert [entry for entry in seen if entry in set(whole)] == whole


def test_the_last_page_has_no_link_also_when_it_is_full(many, operator):
    count = len(operator.rows("/v2/resources"))
    assert "Link" not in operator.get(f"/v2/resources?limit={count}")
    assert "Link" in operator.get(f"/v2/resources?limit={count - 1}")
    assert "Link" not in operator.get("/v2/meters?q.field=user&q.value=nobody&limit=1")


def test_a_link_repeats_the_question_with_the_marker_in_it(operator):
    name = "a/b c%&"
    store_samples([make_sample(meter=name, resource="ä&", volume=n, metadata={"k": "v=1"}) for n in range(3)])
    escaped = quote(quote(name, safe=""), safe="")
    path = f"/v2/meters/{escaped}?q.field=metadata.k&q.op=&q.value=v%3D1&q.field=resource&q.op=eq&q.value=%C3%A4%26&limit=1"
    volumes = []
    while path:
        answer = operator.get(path)
        volumes += [row["counter_volume"] for row in answer.json()]
        assert path.count("marker=") <= 1
        path = next_path(answer)
    assert volumes == [0.0, 1.0, 2.0]


def test_a_link_carries_the_prefix_and_the_public_name(operator):
    store_samples([make_sample(volume=n) for n in range(2)])
    headers = {"X-Forwarded-Proto": "https"}
    answer = operator.get("/v2/samples?limit=1", headers=headers, SCRIPT_NAME="/telemetry", HTTP_HOST="testserver")
    assert answer["Link"].startswith("<https://testserver/telemetry/v2/samples?limit=1&marker=")


def test_a_question_in_a_body_is_sent_again_with_the_link(operator):
    store_samples([make_sample(volume=n) for n in range(3)])
    body = json.dumps({"q": [{"field": "meter", "value": "cpu_util"}], "limit": 2}).encode()
    answer = operator.client.generic("GET", "/v2/samples", body, content_type="application/json")
    answer = operator.client.generic("GET", next_path(answer), body, content_type="application/json")
    assert [row["volume"] for row in answer.json()] == [2.0]


def test_pages_of_a_member_end_with_what_the_member_may_see(many, member, operator):
    answer = operator.get("/v2/samples?limit=1")
    theirs = member.get(next_path(answer)).json()
    assert theirs
    assert {row["project_id"] for row in theirs} == {"p1"}


def encode(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


TIME, ID = "2016-01-05T10:00:00+00:00", "00000000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("path", "marker"),
    [
        *((path, marker) for path in LISTS for marker in (
            "", "x", "%00", "%C3%A4", "!!!!", "=", "1", "r1", ID, encode([]), encode({}), encode("samples"), encode(["nothing", "1"]),
            encode([["samples"]]), "9" * 3000, encode([None]),
        )),
        *(("/v2/samples", encode(["samples", *values])) for values in (
            [], [TIME], [TIME, ID, ID], [ID, TIME], ["2016-01-05T10:00:00", ID], [TIME, 5], [TIME, None], [None, ID], [TIME, "x\x00"],
            ["9999-99-99", ID], [TIME, "\udc00"],
        )),
        ("/v2/samples", encode(["samples", TIME, ID]) + "A"),
        ("/v2/samples", encode(["samples", TIME, ID])[:-1] + "%20"),
        ("/v2/samples", encode(["meters", "5"])),
        ("/v2/meters", encode(["samples", TIME, ID])),
        ("/v2/meters", encode(["meters", "x"])),
        ("/v2/meters", encode(["meters", "1", "2"])),
        ("/v2/meters", encode(["meters", "9" * 5000])),
        ("/v2/meters?unique=1", encode(["meters", "5"])),
        ("/v2/meters", encode(["unique meters", "a", "b", "c"])),
        ("/v2/resources", encode(["resources", None])),
        ("/v2/resources", encode(["resources", "a\x00"])),
        ("/v2/resources", encode(["resources", "\ud800"])),
        ("/v2/query/samples", encode(["samples", TIME, ID])),
        ("/v2/query/samples", encode(["query/samples by volume asc, timestamp desc, message_id asc", "1", TIME, ID])),
    ],
)  # fmt: skip
def test_a_marker_that_is_not_ours_is_refused_by_name(operator, path, marker):
    answer = ask(operator, f"{path}{'&' if '?' in path else '?'}marker={marker}")
    assert answer.status_code == 400, answer.content
    assert fault(answer).startswith("Invalid input for field/attribute marker. Value: '")
    assert len(answer.content) < 2000


def test_a_marker_of_a_query_holds_for_its_own_order_only(many, operator):
    by_volume = {"orderby": '[{"volume": "asc"}]', "limit": 5}
    path = next_path(operator.post("/v2/query/samples", by_volume))
    assert [row["volume"] for row in operator.post(path, by_volume).json()] == [5.0, 6.0, 7.0, 8.0, 9.0]
    assert operator.post(path, {}).status_code == 400
    assert operator.post(path, {"orderby": '[{"volume": "desc"}]'}).status_code == 400


@pytest.mark.parametrize(
    "values", [["NaN", TIME, ID], ["1e999999999", TIME, ID], ["", TIME, ID], [None, TIME, ID], ["1", TIME]]
)
def test_a_marker_with_values_that_no_sample_has_is_refused(operator, values):
    marker = encode(["query/samples by volume asc, timestamp desc, message_id asc", *values])
    answer = operator.post(f"/v2/query/samples?marker={marker}", {"orderby": '[{"volume": "asc"}]'})
    assert answer.status_code == 400
    assert "marker" in fault(answer)
