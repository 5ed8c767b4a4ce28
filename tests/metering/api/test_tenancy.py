"""Tenancy, on every route of the URL configuration: an answer is the same, to the last byte and in every header, whether another
tenant's data is there or not.

The walk finds the routes by itself. A new one needs values for its parameters in VALUES, and bodies in POSTS if it can be posted to:
until it has them the walk fails. Every route is asked every one of QUERIES, so new arguments belong there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
from django.contrib.auth import get_user_model
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from alarms.models import Alarm, AlarmChange, AlarmQuota, WebhookSecret
from metering.api.pages import write_marker
from metering.api.views import ApiView
from metering.collector import ingestion, posting
from metering.messages import sample_id
from metering.models import AgentKey, ApiToken, Batch, Membership, Meter, ParkedBatch, Quarantine, Resource
from tests.support.defined_alarms import make_alarm, make_delivery, make_silence
from tests.support.events import make_event, store_events
from tests.support.samples import make_sample, store_samples

from .conftest import Caller, posted

HOUR = "2016-01-05T10:{:02}:00"

# What another tenant has, and what both have: the same names and times, other numbers.
SHARED = {"meter": "shared.meter", "resource": "shared-resource"}
SECRET = {"meter": "secret.meter", "resource": "secret-resource", "unit": "secret-unit"}

# What a route's parameters are filled with: names and ids of the other tenant's, and shared ones.
VALUES = {
    "meter": ("secret.meter", "shared.meter"),
    "resource_id": ("secret-resource", "shared-resource"),
    "sample_id": ("{sample}",),
    "message_id": ("secret-project-secret-user-secret", "p9-stranger-shared"),
    "event_type": ("secret.event", "shared.event"),
    "trait": ("secret-trait", "shared-trait"),
    "alarm_id": ("{alarm}", "{gone}", "{own}", "secret-alarm"),
    "delivery_id": ("{delivery}", "secret-delivery"),
    "silence_id": ("{silence}", "secret-silence"),
    "project_id": ("secret-project", "p9"),
    # Of the admin.
    "object_id": ("{user}", "{token}", "{batch}", "{meter}", "{resource}", "{key}", "{sample}", "{quarantine}", "{parked}",
                  "{alarm}", "{change}"),
    "id": ("{user}",),
    "content_type_id": ("1",),
    "app_label": ("metering", "alarms"),
    "url": ("nowhere",),
}  # fmt: skip

# What complex queries ask, and how they order what they find.
FILTERS = (
    None,
    {"=": {"resource_id": "secret-resource"}},
    {"=~": {"meter": "^s"}},
    {"in": {"user": ["secret-user", "shared-user"]}},
    {"=": {"project": "secret-project"}},
    {"not": {"=": {"project_id": "p9"}}},
    {"=": {"message_id": "{sample}"}},
    {"=~": {"message_signature": "^[0-9a-f]"}},
    {"=~": {"resource_metadata": "secret"}},
    {"or": [{"=": {"metadata.name": "secret-name"}}, {">": {"volume": 1_000_000}}, {"=": {"meter": "secret.meter"}}]},
    {"and": [{"=": {"meter": "shared.meter"}}, {">=": {"timestamp": "2016-01-05T10:00:00"}}, {"!=": {"source": "x"}}]},
)
ORDERS = (None, [], [{"volume": "desc"}], [{"project": "asc"}, {"resource_metadata": "desc"}])

# For every route that can be posted to; none where that would not ask for data.
ALARM_FILTERS = (
    None,
    {"=": {"name": "secret-alarm"}},
    {"=~": {"name": "^s"}},
    {"=": {"alarm_id": "{alarm}"}},
    {"=": {"project": "secret-project"}},
    {"not": {"=": {"project_id": "p9"}}},
    {"or": [{"=": {"user": "secret-user"}}, {"in": {"severity": ["low", "critical"]}}]},
    {"=~": {"rule": "secret"}},
    {"=~": {"alarm_actions": "secret"}},
)
CHANGE_FILTERS = (
    None,
    {"=": {"alarm_id": "{alarm}"}},
    {"in": {"alarm_id": ["{gone}", "{own}"]}},
    {"=": {"event_id": "{change}"}},
    {"=": {"on_behalf_of": "secret-project"}},
    {"=": {"project": "secret-project"}},
    {"not": {"=": {"user": "stranger"}}},
    {"=~": {"detail": "secret"}},
)


def alarm_body(**fields: Any) -> dict[str, Any]:
    return {"name": "made", "type": "event", "event_rule": {}, **fields}


def queries(filters: tuple[Any, ...], orders: tuple[Any, ...]) -> tuple[Any, ...]:
    """The bodies of complex queries: every filter in every order, with a limit and without."""
    return tuple(
        {
            "limit": limit,
            **{name: json.dumps(part) for name, part in (("filter", filter), ("orderby", order)) if part is not None},
        }
        for filter in filters
        for order in orders
        for limit in (1, None)
    )


# What is stored of these is rolled back with the world that it was sent to; what is drawn anew is blotted out.
POSTS: dict[str, tuple[Any, ...]] = {
    "versions": ({},),
    "meter": (
        [posted(counter_name="secret.meter", project_id="secret-project")],
        [posted(counter_name="shared.meter", project_id="p9"), posted(counter_name="shared.meter", project_id="secret-project")],
    ),
    "query-samples": queries(FILTERS, ORDERS),
    "query-alarms": queries(ALARM_FILTERS, (None, [{"severity": "desc"}, {"project": "asc"}])),
    "query-alarm-history": queries(CHANGE_FILTERS, (None, [{"type": "desc"}, {"project": "asc"}])),
    # None of these can be stored: what is told of others must not depend on whether they are there.
    "alarms": (
        alarm_body(project_id="secret-project"),
        alarm_body(user_id="secret-user"),
        alarm_body(type="combination", combination_rule={"alarm_ids": ["{alarm}", "{own}"]}, event_rule=None),
        alarm_body(type="threshold", event_rule=None, threshold_rule={
            "meter_name": "m", "threshold": 1, "query": [{"field": "project_id", "value": "secret-project"}]}),
    ),
    "alarm-backtest": (
        *({"type": "threshold", "threshold_rule": {"meter_name": meter, "threshold": 1, "period": 600, "query": items},
           "start": HOUR.format(0), "end": "2016-01-05T12:00", **fields}
          for meter in ("secret.meter", "shared.meter")
          for items in ([], [{"field": "resource_id", "value": "shared-resource"}], [{"field": "project_id", "value": "secret-project"}])
          for fields in ({}, {"project_id": "p9"}, {"project_id": "secret-project"})),
        {"type": "event", "event_rule": {"event_type": "*"}, "start": HOUR.format(0), "end": HOUR.format(59)},
        {"type": "event", "event_rule": {"event_type": "secret.*"}, "start": HOUR.format(0), "end": HOUR.format(59)},
        {"type": "combination", "combination_rule": {"alarm_ids": ["{alarm}", "{own}"]}, "start": "2016", "end": "2017"},
    ),
    "alarm-delivery-send": ({},),
    "silences": (
        {"project_id": "secret-project", "ends_at": "2099-01-01T00:00:00"},
        {"alarm_id": "{alarm}", "ends_at": "2099-01-01T00:00:00"},
    ),
    "quotas": ({"project_id": "secret-project", "quotas": [{"resource": "alarms", "limit": 1}]},),
    "login": (),
    "logout": (),
}  # fmt: skip
# Where posting stores nothing.
ASKED_BY_POST = {"query-samples", "query-alarms", "query-alarm-history", "alarm-backtest"}
# Sent to routes that can be put to: only what is refused, for want of the alarm or of what it names.
PUTS: dict[str, tuple[Any, ...]] = {
    "alarm": (alarm_body(project_id="secret-project", name=""), alarm_body(name="")),
    "alarm-state": ("nope",),
}

_FIELDS = {
    "resource_id": ("secret-resource", "shared-resource"),
    "project": ("secret-project",),
    "user_id": ("secret-user", "shared-user"),
    "source": ("secret-project:openstack",),
    "meter": ("secret.meter", "shared.meter"),
    "message_id": ("{sample}",),
    "metadata.name": ("secret-name", "shared-name"),
    "event_type": ("secret.event", "shared.event"),
    "secret-trait": ("secret-value",),
    "project_id&q.op=ne": ("x",),
    "shared-trait&q.op=gt": ("1",),
    "name": ("secret-alarm", "shared-alarm"),
    "alarm_id": ("{alarm}",),
    "state": ("alarm",),
    "severity": ("critical",),
    "all_projects": ("true", "false"),
}
_WINDOW = "q.field=timestamp&q.op=ge&q.value=2016-01-05T10:00:00&q.field=timestamp&q.op=lt&q.value=2016-01-05T11:00:00"
_MARKERS = (
    "x",
    write_marker("samples", ("2016-01-05T10:42:00+00:00", "00000000-0000-7000-8000-000000000000")),
    write_marker("meters", (0,)),
    write_marker("resources", ("a",)),
)
QUERIES = (
    "",
    *(f"q.field={field}&q.value={value}" for field, values in _FIELDS.items() for value in values),
    _WINDOW,
    *("limit=1", "limit=3", "limit=0", "unique=1", "meter_links=0", "meter_links=1", "explain=true", "direct=1"),
    *(f"groupby={name}" for name in ("project_id", "user_id", "resource_id", "source", "resource_metadata.name")),
    *(f"period={period}" for period in ("60", "3600", "day&tz=Europe/Berlin")),
    *(
        f"aggregate.func={function}"
        for function in ("count", "max", "stddev", "increase", "rate", "integral", "p95", "first", "last")
    ),
    *(
        f"aggregate.func=cardinality&aggregate.param={name}"
        for name in ("user_id", "project_id", "resource_id", "source")
    ),
    f"{_WINDOW}&period=600&groupby=resource_id&aggregate.func=sum",
    *(f"limit=1&marker={marker}" for marker in _MARKERS),
    *(f"limit=1&marker={{{name}}}" for name in ("alarm", "change", "own", "delivery", "silence")),
    *("sort=name", "sort=severity:desc&sort=user_id", "project_id=secret-project", "project_id=p9"),
    f"unique=1&limit=1&marker={write_marker('unique meters', ('a', 'a', 'a'))}",
)


class Route(NamedTuple):
    """A route, and what can be asked of it."""

    name: str
    pattern: str
    takes_posts: bool
    takes_puts: bool = False
    takes_deletes: bool = False


def walk(patterns: list[Any], prefix: str = "") -> Iterator[Route]:
    for entry in patterns:
        pattern = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from walk(entry.url_patterns, pattern)
        else:
            assert isinstance(entry, URLPattern)
            view = getattr(entry.callback, "view_class", None)
            takes = {
                method: hasattr(view, method) and not pattern.startswith("admin/")
                for method in ("post", "put", "delete")
            }
            # A form that is sent again is no other method.
            is_api = issubclass(getattr(entry.callback, "cls", object), ApiView)
            yield Route(
                entry.name or pattern, pattern, takes["post"], takes["put"] and is_api, takes["delete"] and is_api
            )


ROUTES = tuple(walk(get_resolver().url_patterns))
ADMIN = tuple(route for route in ROUTES if route.pattern.startswith("admin/"))
API = tuple(route for route in ROUTES if route not in ADMIN)
# Those that answer with a tenant's data; all others are the same for everybody.
DATA = {"meters", "meter", "statistics", "resources", "resource", "samples", "sample", "query-samples",
        "events", "event", "event-types", "trait-kinds", "traits",
        "alarms", "alarm", "alarm-state", "alarm-history", "alarm-backtest", "alarm-deliveries", "webhook-keys",
        "query-alarms", "query-alarm-history", "silences", "silence", "quotas"}  # fmt: skip
OPEN = {
    "versions",
    "healthz",
    "readyz",
    "healthcheck",
    # Only operators may ask it anything.
    "quota",
    # Tells of nothing but by posting.
    "alarm-delivery-send",
    # Answers nobody.
    "metrics",
    "login",
    "logout",
    "no-such-path",
    "capabilities",
    "ask",
    "schema",
    "schema-ui",
}


def paths_of(route: Route) -> list[str]:
    """Every way to fill the route's parameters. Fails for one that VALUES does not know."""
    plain = route.pattern.replace("/?", "").replace("(/.*)?", "/secret-project").replace("v[0-9]+", "v2/nowhere")
    filled = ["/" + re.sub(r"[$^]", "", plain)]
    while match := re.search(r"\(\?P<(\w+)>(?:[^()]|\([^)]*\))*\)|<(?:\w+:)?(\w+)>", filled[0]):
        name = match[1] or match[2]
        assert name in VALUES, f"{route.pattern}: what values has its parameter {name}? Say so in VALUES"
        filled = [path.replace(match[0], value, 1) for path in filled for value in VALUES[name]]
    assert not re.search(r"[()?*+\[\]]", filled[0]), f"{route.pattern} became {filled[0]}, which is no path"
    return filled


def requests_of(route: Route) -> Iterator[tuple[str, str, str, bytes]]:
    """Method, path with query, Accept and body of everything that is asked."""
    for path in paths_of(route):
        for query in QUERIES:
            for accept in ("text/html",) if route in ADMIN else ("application/json", "text/html"):
                yield "GET", f"{path}?{query}", accept, b""
        yield "HEAD", path, "*/*", b""
        yield "OPTIONS", path, "*/*", b""
        if route.takes_posts:
            assert route.name in POSTS, f"{route.pattern}: what can be posted to it? Say so in POSTS"
            for body in POSTS[route.name]:
                yield "POST", path, "application/json", json.dumps(body).encode()
        if route.takes_puts and "{own}" not in path:
            assert route.name in PUTS, f"{route.pattern}: what can be put to it? Say so in PUTS"
            for body in PUTS[route.name]:
                yield "PUT", path, "application/json", json.dumps(body).encode()
        if route.takes_deletes and "{own}" not in path:
            yield "DELETE", path, "application/json", b""


def make_world(*, project: str, user: str, name: str, names: dict[str, str], volume: int) -> Any:
    samples = partial(make_sample, project=project, user=user, source=f"{project}:openstack", metadata={"name": name})
    return store_samples(
        [samples(**names, volume=volume + minute * minute, timestamp=HOUR.format(minute)) for minute in (5, 17, 42)]
    )


def make_events(*, project: str, user: str, name: str, value: int) -> None:
    traits = {f"{name}-trait": value if name == "shared" else "secret-value"}
    store_events(
        [
            make_event(
                id=f"{project}-{user}-{name}",
                type=f"{name}.event",
                project=project,
                user=user,
                at=HOUR.format(7),
                raw=[value],
                **traits,
            )
        ]
    )


def make_secrets() -> dict[str, str]:
    """Everything that another tenant can have; returns the ids by which it might be asked for."""
    other = Caller("secret-user", "secret-project")
    shared = {"project": "secret-project", "name": "shared-name", "names": SHARED}
    make_world(user="shared-user", volume=7_700_000, **shared)
    stored = make_world(
        project="secret-project", user="secret-user", name="secret-name", names=SECRET, volume=4_242_000
    )
    make_events(project="secret-project", user="secret-user", name="secret", value=8)
    # Of the caller in somebody else's project, and of somebody else in the caller's.
    make_events(project="secret-project", user="stranger", name="shared", value=9)
    make_events(project="p9", user="secret-user", name="shared", value=10)
    rule = {"meter_name": "secret", "threshold": 1.0, "query": []}
    alarm = make_alarm(
        project="secret-project", name="secret-alarm", user_id="secret-user", severity=3, state="alarm", rule=rule,
        actions={"alarm": ["https://secret.example/"]},
    )  # fmt: skip
    # Of the same name as one of the caller's, and one that is no longer there.
    make_alarm(project="secret-project", name="shared-alarm", user_id="stranger")
    gone = make_alarm(project="secret-project", name="secret-gone")
    Alarm.objects.filter(id=gone).delete()
    delivery = make_delivery(alarm, project="secret-project", url="https://secret.example/")
    # Made before the alarm was the caller's.
    own = str(Alarm.objects.get(project_id="p9").pk)
    make_delivery(own, project="secret-project", url="https://secret.example/")
    make_delivery(gone, project="secret-project")
    # An operator who asks for it makes one.
    WebhookSecret.objects.update_or_create(project_id="secret-project", defaults={"secret": "whsec_c2VjcmV0"})
    AlarmQuota.objects.create(project_id="secret-project", limit=7)
    entry = Quarantine.objects.create(digest=b"1" * 32, reason="out_of_scope", detail="secret-detail", message=b"x")
    parked = ParkedBatch.objects.create(id=sample_id(stored.batch_id, 9), message=b"secret")
    return {
        "{sample}": str(sample_id(stored.batch_id, 1)),
        "{batch}": str(stored.batch_id),
        "{user}": str(other.user.pk),
        "{token}": str(ApiToken.objects.get(user=other.user).pk),
        "{meter}": str(Meter.objects.get(name="secret.meter").pk),
        "{resource}": str(Resource.objects.get(resource_id="secret-resource").pk),
        "{key}": str(AgentKey.objects.first().pk),
        "{quarantine}": str(entry.pk),
        "{parked}": str(parked.pk),
        "{alarm}": alarm,
        "{gone}": gone,
        "{change}": str(AlarmChange.objects.get(alarm_id=alarm).pk),
        "{delivery}": delivery,
        "{silence}": make_silence(project="secret-project", name="secret *", alarm_id=alarm),
        "{own}": own,
    }


def answers(client: Client, routes: tuple[Route, ...], ids: dict[str, str]) -> dict[tuple[str, ...], tuple[Any, ...]]:
    """All that the client gets to see of the routes, without what is drawn anew for every answer."""
    found = {}
    for route in routes:
        for method, path, accept, body in requests_of(route):
            asked = re.sub(r"\{\w+\}", lambda match: ids[match[0]], path)
            body = re.sub(rb"\{\w+\}", lambda match: ids[match[0].decode()].encode(), body)
            answer = client.generic(method, asked, body, content_type="application/json", headers={"Accept": accept})
            assert answer.status_code < 500, (method, asked, answer.content)
            shown = re.sub(r"\b[A-Za-z0-9]{64}\b", "CSRF", answer.content.decode())
            # The time of the answer, on pages that are not to be kept.
            headers = {name: value for name, value in answer.items() if name != "Expires"}
            found[method, asked, accept, body.decode()] = (answer.status_code, headers, shown)
    return found


def compare(client: Client, routes: tuple[Route, ...]) -> list[tuple[Any, ...]]:
    """Where the client's answers differ between a world with the other tenant's data and one without."""
    with transaction.atomic():
        ids = make_secrets()
        with_secrets = answers(client, routes, ids)
        transaction.set_rollback(True)
    ingestion.dimensions.clear()
    posting.forget_signer()
    without = answers(client, routes, ids)
    return [(asked, with_secrets[asked], without[asked]) for asked in without if with_secrets[asked] != without[asked]]


@pytest.fixture
def tenant(stranger, settings):
    """Somebody with data of their own, who may ask as often as they like."""
    settings.CELOMETER_API_REQUESTS_PER_MINUTE = settings.CELOMETER_API_FAILURES_PER_MINUTE = 1_000_000
    make_world(project="p9", user="shared-user", name="shared-name", names=SHARED, volume=1)
    make_events(project="p9", user="stranger", name="shared", value=2)
    make_delivery(make_alarm(project="p9", name="shared-alarm", user_id="stranger"), project="p9")
    make_silence(project="p9", name="shared *")
    # Drawn at random where there is none yet.
    WebhookSecret.objects.create(project_id="p9", secret="whsec_b3du")
    return stranger


def session_of(user: Any) -> Client:
    client = Client(raise_request_exception=False)
    client.force_login(user)
    return client


@pytest.mark.parametrize("route", API, ids=lambda route: route.name)
def test_another_tenants_data_changes_no_answer(tenant, route):
    assert compare(tenant.client, (route,)) == []


@pytest.mark.parametrize("route", API, ids=lambda route: route.name)
def test_nor_does_it_on_the_pages_of_somebody_logged_in(tenant, route, monkeypatch):
    monkeypatch.setattr(f"{__name__}.QUERIES", QUERIES[:12])
    assert compare(session_of(tenant.user), (route,)) == []


def test_whoever_does_not_say_who_they_are_learns_nothing_anywhere(tenant, monkeypatch):
    monkeypatch.setattr(f"{__name__}.QUERIES", QUERIES[:1])
    assert compare(Client(raise_request_exception=False), ROUTES) == []


def test_the_admin_shows_a_tenant_nothing(tenant, monkeypatch):
    monkeypatch.setattr(f"{__name__}.QUERIES", QUERIES[:1])
    assert compare(session_of(tenant.user), ADMIN) == []
    assert compare(tenant.client, ADMIN) == []


@pytest.mark.parametrize("role", ["reader", "member"])
def test_a_second_project_shows_its_own_data_alone(tenant, role, monkeypatch):
    monkeypatch.setattr(f"{__name__}.QUERIES", QUERIES[:1])
    Membership.objects.create(user=tenant.user, project_id="p10", role=role)
    make_world(project="p10", user="u", name="n", names=SHARED, volume=3)
    assert compare(tenant.client, API) == []


def test_the_walk_knows_every_route_and_would_see_what_is_told(tenant, monkeypatch):
    """An operator sees the difference on every route with data: so the walk looks where it is."""
    assert {route.name for route in API} == DATA | OPEN, "a new route: has it a tenant's data or not?"
    operator = Caller("operator", operator=True)
    for route in API:
        # Their posts would be stored.
        seen = compare(operator.client, (route._replace(takes_posts=route.name in ASKED_BY_POST),))
        assert bool(seen) == (route.name in DATA), route.name
    monkeypatch.setattr(f"{__name__}.QUERIES", QUERIES[:1])
    superuser = get_user_model().objects.create_superuser("root")
    pages = {"metering_batch_changelist", "metering_sample_change", "auth_user_change", "metering_quarantine_change"}
    seen = compare(session_of(superuser), tuple(route for route in ADMIN if route.name in pages))
    assert len({asked[1].split("/")[3] for asked, _, _ in seen}) >= len(pages) - 1
    assert Batch.objects.count() == 2
