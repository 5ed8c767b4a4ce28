"""The operators' pages: every one opens, finds, and does what its buttons say, without counting what is large."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from metering.collector.ingestion import ingest
from metering.messages import Bundle, Letter, Link, PrivateKey, Refusal, sample_id, seal_batch, seal_bundle
from metering.models import Agent, AgentKey, ApiToken, Batch, Membership, ParkedBatch, Quarantine, Sample
from tests.support.samples import at, make_sample, store, store_samples

LISTS = ("agent", "agentkey", "batch", "parkedbatch", "quarantine", "meter", "resource", "sample", "apitoken")


@pytest.fixture
def staff(db):
    return get_user_model().objects.create_user("boss", is_staff=True, is_superuser=True)


@pytest.fixture
def pages(staff):
    client = Client()
    client.force_login(staff)
    return client


@pytest.fixture
def plain_operator(db):
    client = Client()
    client.force_login(get_user_model().objects.create_user("operator", is_staff=True))
    return client


def shown(pages, path):
    answer = pages.get(f"/admin/{path}", follow=True)
    assert answer.status_code == 200, path
    return answer.content.decode()


def sealed_by(key, *, agent="node1", sequence=1, stream=None, samples=None, due=None):
    now = due or timezone.now()
    moment = int(now.timestamp()) * 1_000_000
    return seal_batch(
        samples or [make_sample(timestamp=now.replace(microsecond=0))],
        key=key,
        agent=agent,
        source="compute",
        due=moment,
        made=moment,
        unit=str(sequence),
        link=Link(stream or uuid4(), sequence, ""),
    )


@pytest.fixture
def node(db):
    """An enrolled agent and its key."""
    key = PrivateKey.generate()
    agent = Agent.objects.create(name="node1")
    AgentKey.objects.create(
        agent=agent, key_id=key.public.id, public_key=key.public.raw, valid_from=timezone.now() - timedelta(days=1)
    )
    return key


@pytest.mark.parametrize("name", LISTS)
def test_every_list_opens_full_and_empty_and_survives_any_search(pages, node, name):
    shown(pages, f"metering/{name}/")
    store(metadata={"state": "<b>"})
    ingest(sealed_by(node).to_bytes())
    ingest(b"garbage")
    ParkedBatch.objects.create(id=uuid4(), message=b"CELO")
    for term in ("", "r1", "cpu_util", str(uuid4()), "2016-01-05", "garbage", "%00", "%27;--", "9" * 300):
        assert "<b>" not in shown(pages, f"metering/{name}/?q={term}").replace('<b style="', "")


def test_every_record_opens(pages, node):
    posted = store(metadata={"state": "active"})
    ingest(sealed_by(node).to_bytes())
    ingest(b"garbage")
    ParkedBatch.objects.create(id=uuid4(), message=b"CELO" * 5000)
    assert "active" in shown(pages, f"metering/sample/{sample_id(posted.batch_id, 0)}/change/")
    batch = shown(pages, f"metering/batch/{posted.batch_id}/change/")
    assert "&quot;poster&quot;: &quot;tester&quot;" in batch
    assert "icon-yes" in batch
    assert "67 61 72 62 61 67 65" in shown(pages, f"metering/quarantine/{Quarantine.objects.get().pk}/change/")
    assert "more bytes" in shown(pages, f"metering/parkedbatch/{ParkedBatch.objects.get().pk}/change/")
    shown(pages, f"metering/agent/{Agent.objects.get(name='node1').pk}/change/")
    key = AgentKey.objects.get(agent__name="node1")
    assert "BEGIN PUBLIC KEY" in shown(pages, f"metering/agentkey/{key.pk}/change/")


@pytest.mark.parametrize(
    "path", ["metering/sample/", "metering/sample/?since=day", "metering/sample/?q=r1", "metering/batch/"]
)
def test_no_list_counts_or_reads_a_large_table(pages, path, monkeypatch):
    for page in admin.site._registry.values():
        monkeypatch.setattr(page, "list_per_page", 2)
    for number in range(5):
        store(timestamp=timezone.now() - timedelta(minutes=number))
    with CaptureQueriesContext(connection) as queries:
        shown(pages, path)
    large = [query["sql"] for query in queries if re.search(r"metering_(sample|batch)\b", query["sql"])]
    assert large
    for sql in large:
        assert "LIMIT" in sql or ("metering_batch" in sql and '"id" = ' in sql), sql
    assert len(queries) < 12


def test_samples_are_found_by_sample_batch_resource_meter_and_time(pages):
    first = store_samples([make_sample(resource="r1"), make_sample(resource="r2", meter="memory")])
    store(resource="r3", timestamp=at("2016-01-06T00:00:00"))
    ids = {name: str(sample_id(first.batch_id, position)) for position, name in enumerate(("r1", "r2"))}

    def found(term):
        return set(
            re.findall(
                r"metering/resource/\d+/change/[^>]*>(\w+)|field-resource nowrap\">(\w+)<",
                shown(pages, f"metering/sample/?q={term}"),
            )
        )

    def names(term):
        return {left or right for left, right in found(term)}

    assert names("") == {"r1", "r2", "r3"}
    assert names(ids["r2"]) == {"r2"}
    assert names(str(first.batch_id)) == {"r1", "r2"}
    assert names("r3") == {"r3"}
    assert names("memory") == {"r2"}
    assert names("2016-01-05T12:00") == {"r1", "r2"}
    assert names("nothing") == set()


def test_measured_data_cannot_be_changed_or_deleted(pages):
    posted = store()
    for name, key in (("sample", sample_id(posted.batch_id, 0)), ("batch", posted.batch_id)):
        for action in ("add/", f"{key}/delete/"):
            assert pages.get(f"/admin/metering/{name}/{action}").status_code == 403
        assert pages.post(f"/admin/metering/{name}/{key}/change/", {"volume": "0"}).status_code == 403
    assert Sample.objects.get(timestamp__gt=at("2016-01-01T00:00:00")).volume == 1


def test_an_operator_without_further_rights_sees_everything_measured(plain_operator):
    for name in LISTS:
        assert plain_operator.get(f"/admin/metering/{name}/").status_code == 200, name
    assert plain_operator.get("/admin/metering/apitoken/add/").status_code == 403
    assert plain_operator.get("/admin/auth/user/").status_code == 403


def test_customers_do_not_get_in(db):
    client = Client()
    client.force_login(get_user_model().objects.create_user("customer"))
    for name in LISTS:
        assert client.get(f"/admin/metering/{name}/").status_code == 302


def enrolment(pem, **fields):
    return {
        "name": "node7",
        "description": "",
        "keys-TOTAL_FORMS": "1",
        "keys-INITIAL_FORMS": "0",
        "keys-MIN_NUM_FORMS": "0",
        "keys-MAX_NUM_FORMS": "1000",
        "keys-0-pem": pem,
        "keys-0-valid_from_0": "2026-01-01",
        "keys-0-valid_from_1": "00:00:00",
        "keys-0-valid_until_0": "",
        "keys-0-valid_until_1": "",
        "keys-0-allowed_sources": "",
        "keys-0-allowed_projects": "p1,p2",
        **fields,
    }


def test_an_agent_is_enrolled_with_its_public_key(pages):
    key = PrivateKey.generate()
    answer = pages.post("/admin/metering/agent/add/", enrolment(key.public.pem()))
    assert answer.status_code == 302, answer.content.decode()
    enrolled = AgentKey.objects.get(agent__name="node7")
    assert (enrolled.key_id, bytes(enrolled.public_key)) == (key.public.id, key.public.raw)
    assert enrolled.allowed_projects == ["p1", "p2"]


@pytest.mark.parametrize("pem", ["", "not a key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])
def test_what_is_no_public_key_is_not_enrolled(pages, pem):
    answer = pages.post("/admin/metering/agent/add/", enrolment(pem))
    assert answer.status_code == 200
    assert not Agent.objects.filter(name="node7").exists()


def test_a_revoked_key_counts_no_more(pages, node):
    key = AgentKey.objects.get()
    pages.post("/admin/metering/agentkey/", {"action": "revoke", "_selected_action": [key.pk]})
    assert ingest(sealed_by(node).to_bytes()).reason == "key_not_valid"


def test_gaps_in_a_stream_are_shown(pages, node):
    stream = uuid4()
    now = timezone.now()
    for sequence in (3, 4, 7, 9):
        ingest(sealed_by(node, sequence=sequence, stream=stream, due=now - timedelta(minutes=20 - sequence)).to_bytes())
    assert Batch.objects.count() == 4
    listing = shown(pages, "metering/agent/")
    assert '<b style="color: var(--error-fg)">3</b>' in listing
    page = shown(pages, f"metering/agent/{Agent.objects.get(name='node1').pk}/change/")
    assert "3 – 9" in page
    assert "5–6, 8" in page


def test_a_released_message_is_stored_and_marked(pages, node, staff):
    AgentKey.objects.update(allowed_projects=["another"])
    message = sealed_by(node).to_bytes()
    assert ingest(message).reason == "out_of_scope"
    entry = Quarantine.objects.get()
    pages.post("/admin/metering/quarantine/", {"action": "release_entries", "_selected_action": [entry.pk]})
    entry.refresh_from_db()
    assert entry.released_by == staff
    assert Batch.objects.count() == 1


def test_what_a_release_waives_is_said_and_what_it_does_not(pages):
    listing = html.unescape(shown(pages, "metering/quarantine/"))
    assert "(scope, the key's validity and its clock are waived; the signature and the bounds of time never)" in listing


def test_a_forged_message_stays_out_whatever_an_operator_says(pages, node):
    message = bytearray(sealed_by(node).to_bytes())
    message[-1] ^= 1
    ingest(bytes(message))
    entry = Quarantine.objects.get()
    answer = pages.post(
        "/admin/metering/quarantine/", {"action": "release_entries", "_selected_action": [entry.pk]}, follow=True
    )
    assert "still refused" in answer.content.decode()
    assert not Batch.objects.exists()


def test_a_token_is_shown_once(pages):
    user = get_user_model().objects.create_user("customer")
    Membership.objects.create(user=user, project_id="p1")
    filled = {
        "user": user.pk,
        "scopes": ["read"],
        "projects": "p1",
        "expires_at_0": "2100-01-01",
        "expires_at_1": "00:00:00",
    }
    answer = pages.post("/admin/metering/apitoken/add/", filled, follow=True)
    token = re.search(r"shown this once: ([\w-]{43})", answer.content.decode())[1]
    assert ApiToken.objects.get(user=user).digest == ApiToken.digest_of(token)
    assert Client(headers={"X-Auth-Token": token}).get("/v2/meters").status_code == 200
    assert token not in shown(pages, "metering/apitoken/")
    key = ApiToken.objects.get(user=user).pk
    pages.post("/admin/metering/apitoken/", {"action": "revoke", "_selected_action": [key]})
    assert Client(headers={"X-Auth-Token": token}).get("/v2/meters").status_code == 401
    assert "revoked" in shown(pages, f"metering/apitoken/{key}/change/")


@pytest.mark.parametrize(
    "wrong", [{"scopes": []}, {"scopes": ["root"]}, {"expires_at_0": "2001-01-01", "expires_at_1": "00:00:00"}]
)
def test_a_token_that_could_not_be_used_is_not_issued(pages, staff, wrong):
    answer = pages.post("/admin/metering/apitoken/add/", {"user": staff.pk, "scopes": ["read"], **wrong})
    assert "errorlist" in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_the_list_of_tokens_says_what_each_may_and_when_it_was_last_used(pages, staff):
    token = ApiToken.issue(staff, scopes=["read"], projects=["p1"])
    Client(headers={"X-Auth-Token": token}).get("/v2/meters")
    page = shown(pages, "metering/apitoken/")
    for column, text in {"may": "read", "only_projects": "p1", "state": "valid"}.items():
        assert f'<td class="field-{column}">{text}</td>' in page
    assert re.search(r'field-last_used_at nowrap">20\d\d-', page)


def test_a_users_page_has_projects_and_tokens(pages, staff):
    ApiToken.issue(staff)
    Membership.objects.create(user=staff, project_id="p1")
    page = shown(pages, f"auth/user/{staff.pk}/change/")
    assert "projects that this user sees" in page.lower()
    answer = pages.post("/admin/auth/user/", {"action": "issue_tokens", "_selected_action": [staff.pk]}, follow=True)
    assert "shown this once" in answer.content.decode()


def test_released_messages_leave_the_list_and_can_be_asked_for(pages, node):
    AgentKey.objects.update(allowed_projects=["another"])
    ingest(sealed_by(node).to_bytes())
    entry = Quarantine.objects.get()
    row = f"metering/quarantine/{entry.pk}/change/"
    assert row in shown(pages, "metering/quarantine/")
    pages.post("/admin/metering/quarantine/", {"action": "release_entries", "_selected_action": [entry.pk]})
    assert row not in shown(pages, "metering/quarantine/")
    assert row in shown(pages, "metering/quarantine/?state=released")
    assert row in shown(pages, "metering/quarantine/?state=all")


@pytest.mark.parametrize(
    "body", [b'{"oslo.version": "2.0", "oslo.message": "{\\"event_type\\": \\"<b>.said\\"}"}', b"\xff", b"[1]"]
)
def test_a_refused_notification_is_shown_readable(pages, body):
    bundle = Bundle("alone-1", 0, "rabbit://mq/", [Letter(body, exchange="nova", routing_key="notifications.info")])
    message = seal_bundle(bundle, PrivateKey.generate(), compress=False)
    ingest(Refusal("mq-1", "bad_notification", "no event type", message).to_bytes())
    entry = Quarantine.objects.get()
    page = shown(pages, f"metering/quarantine/{entry.pk}/change/")
    assert "rabbit://mq/" in page
    assert "notifications.info" in page
    assert "<b>.said" not in page
