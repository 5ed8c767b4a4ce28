"""The pages: what they link to works, forms lead to the queries that they stand for, what they ask the store stays small."""

from __future__ import annotations

import html
import re
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from metering.messages import sample_id
from tests.support.defined_alarms import make_alarm, make_delivery, make_silence
from tests.support.events import store_event
from tests.support.routes import api_patterns
from tests.support.samples import make_sample, store_samples

from .conftest import fault

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}


def pages() -> list[str]:
    """A path for every page of the API, with what the store of these tests has in its place."""
    names = {"meter": "cpu", "resource_id": "r1", "sample_id": "{sample}", "message_id": "event-1", "event_type": "image.update",
             "trait": "size", "alarm_id": "{alarm}", "delivery_id": "{delivery}", "silence_id": "{silence}",
             "project_id": "p1"}  # fmt: skip
    paths = (str(pattern.pattern).strip("^$").replace("/?", "").replace("(/.*)?", "") for pattern in api_patterns())
    named = ("/" + re.sub(r"\(\?P<(\w+)>[^)]*\)", lambda match: names[match[1]], path) for path in paths)
    return sorted({path for path in named if "[0-9]" not in path and path != "/schema"})


@pytest.fixture
def person(operator):
    """An operator who is logged in, and what there is to see."""
    batch = store_samples(
        [
            make_sample(meter="cpu", metadata={"state": "running"}),
            make_sample(meter="a/b", metadata={"state": "running"}),
        ]
    )
    store_event(id="event-1", type="image.update", size=5)
    client = Client(headers=BROWSER)
    client.force_login(operator.user)
    client.sample = str(sample_id(batch.batch_id, 0))
    client.alarm = make_alarm(project="p1")
    client.delivery = make_delivery(client.alarm, project="p1")
    client.silence = make_silence(project="p1", name="disk *")
    return client


def filled(path: str, client: Client) -> str:
    return re.sub(r"\{(\w+)\}", lambda name: getattr(client, name[1]), path)


def page_of(client: Client, path: str) -> str:
    answer = client.get(filled(path, client))
    assert answer["Content-Type"].startswith("text/html"), path
    return answer.content.decode()


def links_of(page: str) -> set[str]:
    """Where a page leads on this server."""
    found = {html.unescape(link) for link in re.findall(r'(?:href|src)="([^"]*)"', page)}
    return {link.removeprefix("http://testserver") for link in found if re.match(r"/|http://testserver/", link)}


@pytest.mark.parametrize("path", pages())
def test_every_link_of_every_page_works_when_clicked(person, path):
    links = links_of(page_of(person, path))
    assert {"/v2/meters?unique=True", "/schema/ui/", "/admin/"} <= links
    for link in links - {"/v2"}:
        assert person.get(link, follow=True).status_code == 200, link


@pytest.mark.parametrize("path", pages())
def test_every_page_says_what_it_is(person, path):
    page = page_of(person, path)
    title, summary = re.search(r"<h1>(.*?)</h1>\s*<p class=\"summary\">(.*?)</p>", page, re.S).groups()
    assert title
    assert len(summary) > 40


def fields_of(page: str) -> set[str]:
    form = re.search(r'<form method="get" action="/ask/">.*?</form>', page, re.S)
    return set(re.findall(r'name="([^"]*)"', form[0])) if form else set()


def test_a_form_has_the_fields_that_its_endpoint_can_be_asked_by(person):
    conditions = {"resource", "project", "user", "source", "named"}
    times = {"since", "until"}
    assert fields_of(page_of(person, "/v2/meters")) == {*conditions, "path", "limit", "unique"}
    assert fields_of(page_of(person, "/v2/resources")) == {*conditions, *times, "path", "limit"}
    assert fields_of(page_of(person, "/v2/samples")) == {*conditions, *times, "meter", "message_id", "path", "limit"}
    assert fields_of(page_of(person, "/v2/meters/cpu/statistics")) == {
        *conditions, *times, "message_id", "path", "groupby", "period", "tz", "aggregate.func", "aggregate.param",
    }  # fmt: skip
    assert fields_of(page_of(person, "/v2/events")) == {
        "event_type",
        "message_id",
        "start",
        "end",
        "named",
        "path",
        "limit",
    }
    assert fields_of(page_of(person, "/v2/resources/r1")) == set()


def test_a_filled_in_form_leads_to_the_query_that_it_stands_for(person):
    filled = {
        "path": "/v2/meters/a%2Fb/statistics", "resource": "r1", "project": "", "named": "state = running",
        "since": "2016-01-05T10:00", "until": "2016-01-06T00:00:00", "period": "3600", "tz": "", "aggregate.func": ["max", "count"],
    }  # fmt: skip
    answer = person.get("/ask/", filled)
    assert answer.status_code == 302
    target = urlsplit(answer["Location"])
    assert target.path == "/v2/meters/a%252Fb/statistics"
    assert parse_qsl(target.query) == [
        ("q.field", "resource"), ("q.op", "eq"), ("q.value", "r1"),
        ("q.field", "timestamp"), ("q.op", "ge"), ("q.value", "2016-01-05T10:00:00"),
        ("q.field", "timestamp"), ("q.op", "lt"), ("q.value", "2016-01-06T00:00:00"),
        ("q.field", "metadata.state"), ("q.op", "eq"), ("q.value", "running"),
        ("period", "3600"), ("aggregate.func", "max"), ("aggregate.func", "count"),
    ]  # fmt: skip
    page = person.get(answer["Location"]).content.decode()
    assert "1 entry" in page
    # The next question begins with this one.
    assert 'name="resource" value="r1"' in page
    assert 'value="2016-01-05T10:00:00"' in page
    assert 'name="named" value="state=running"' in page
    assert '<option value="max" selected>' in page


def test_what_a_form_cannot_read_is_told_by_the_endpoint(person):
    answer = person.get("/ask/", {"path": "/v2/samples", "limit": "seven", "since": "yesterday"}, follow=True)
    assert answer.status_code == 400
    assert b"seven" in answer.content
    answer = person.get("/ask/", {"path": "/v2/samples", "since": "yesterday"}, follow=True)
    assert answer.status_code == 400
    assert b"invalid timestamp format" in answer.content


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "//evil.example/v2/samples",
        "https://evil.example",
        "/admin/",
        "/v2/query/samples",
    ],
)
def test_a_form_leads_nowhere_but_to_the_api(person, path):
    assert person.get("/ask/", {"path": path}).status_code in {404, 400}


def test_a_page_leads_to_the_next_one(person):
    first = page_of(person, "/v2/samples?limit=1")
    (link,) = re.findall(r'href="([^"]*)" rel="next"', first)
    second = person.get(html.unescape(link)).content.decode()
    assert 'rel="next"' not in second
    assert person.sample in first + second


def test_the_page_of_an_event_shows_its_traits_as_a_table(person):
    page = page_of(person, "/v2/events/event-1")
    table = page.partition("<table>")[2].partition("</table>")[0]
    assert re.findall(r"<th>(.*?)</th>", table) == ["name", "type", "value"]
    assert "size" in table


def test_only_staff_is_led_to_the_admin(member):
    client = Client(headers=BROWSER)
    assert b"/admin/" not in client.get("/").content
    client.force_login(member.user)
    page = client.get("/v2/meters").content.decode()
    assert "/admin/" not in page
    assert "member" in page


def test_a_path_that_no_page_has_is_told_by_a_page(db):
    answer = Client(headers=BROWSER).get("/nowhere/<b>")
    assert answer.status_code == 404
    assert b"/static/metering/api.css" in answer.content
    assert b"<b>" not in answer.content
    answer = Client().get("/nowhere")
    assert (answer.status_code, fault(answer)) == (404, "Not Found")


@pytest.mark.parametrize("path", pages())
def test_a_page_asks_the_store_no_more_than_its_endpoint(person, path):
    asked = filled(path, person)
    person.get(asked)
    with CaptureQueriesContext(
        connection,
    ) as as_page:
        person.get(asked)
    with CaptureQueriesContext(connection) as as_json:
        person.get(asked, headers={"Accept": "application/json"})
    # Who looks at a page that needs nobody is asked for its header alone: session and user.
    assert len(as_page) - len(as_json) <= 2, [query["sql"] for query in as_page]
