"""``Idempotency-Key``: one request, however often it is sent and whatever happened to its answer."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from metering.api.v2 import meters, storing
from metering.collector import posting
from metering.housekeeping import retention
from metering.housekeeping.parked import admit_parked
from metering.models import ApiToken, Batch, Origin, ParkedBatch, Sample
from metering.retention.policy import read_policy

from .conftest import Caller, fault, posted

PATH = "/v2/meters/cpu_util"


def post(caller, samples=None, *, key="order-17", path=PATH, **headers):
    return caller.post(path, [posted()] if samples is None else samples, headers={"Idempotency-Key": key, **headers})


def answer_of(response):
    names = ("Location", "X-Celometer-Batch", "X-Celometer-Position", "Content-Type")
    return response.status_code, response.content, {name: response.get(name) for name in names}


def test_a_repeated_post_gets_the_first_answer_and_stores_nothing(member):
    first = post(member)
    assert first.status_code == 201
    assert answer_of(post(member)) == answer_of(first)
    assert answer_of(post(member)) == answer_of(first)
    assert (Batch.objects.count(), Sample.objects.count()) == (1, 1)
    assert len(member.rows(PATH)) == 1


def test_the_answer_is_the_first_one_in_every_part_that_the_server_filled_in(member):
    samples = [posted(counter_volume=str(n), resource_metadata={"n": n}, recorded_at="2001-01-01") for n in range(3)]
    first = post(member, samples)
    assert first["X-Celometer-Position"] == "0-2"
    assert len({entry["timestamp"] for entry in first.json()}) == 1
    assert answer_of(post(member, samples)) == answer_of(first)
    assert [row["id"] for row in member.rows("/v2/samples")] == [e["message_id"] for e in first.json()]


def test_another_body_with_the_same_key_is_refused(member):
    first = post(member)
    for changed in ([posted(counter_volume=13)], [posted(), posted()], [posted(source="other")]):
        answer = post(member, changed)
        assert answer.status_code == 422
        assert answer.json()["error_message"]["code"] == "idempotency_key_reused"
        assert answer.json()["error_message"]["value"] == "order-17"
        assert fault(answer).startswith("Idempotency-Key order-17: ")
    other_meter = post(member, [posted(counter_name="other")], path="/v2/meters/other")
    assert other_meter.status_code == 422
    assert Sample.objects.count() == 1
    assert answer_of(post(member)) == answer_of(first)


def test_a_key_is_its_users_own(db):
    alice, bob = Caller("alice", "p1"), Caller("bob", "p1")
    assert post(alice).json()[0]["message_id"] != post(bob).json()[0]["message_id"]
    assert Sample.objects.count() == 2
    alice_again = Caller("alice")
    assert post(alice_again).json() == post(alice).json()
    assert Sample.objects.count() == 2


def test_another_project_is_another_request(db):
    both = Caller("both", "p1", "p2")
    assert post(both, **{"X-Project-Id": "p1"}).status_code == 201
    assert post(both, **{"X-Project-Id": "p2"}).status_code == 422
    assert Sample.objects.count() == 1


def test_other_keys_and_no_key_store_anew(member):
    ids = {post(member, key=key).json()[0]["message_id"] for key in ("a", "b", "A")}
    ids |= {member.post(PATH, [posted()]).json()[0]["message_id"] for _ in range(2)}
    assert len(ids) == Sample.objects.count() == 5


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb", "é", "a\x00b"])
def test_keys_that_are_none_are_refused(member, key):
    answer = member.client.post(PATH, [posted()], content_type="application/json", HTTP_IDEMPOTENCY_KEY=key)
    assert answer.status_code == 400
    assert fault(answer).startswith("Invalid input for field/attribute Idempotency-Key.")
    assert not Batch.objects.exists()


def test_a_bad_request_claims_no_key(member):
    assert post(member, [posted(counter_type="elevation")]).status_code == 400
    assert not Origin.objects.exists()
    assert post(member).status_code == 201


def test_a_request_that_the_store_refuses_gives_its_key_back(member):
    for _ in range(2):
        assert post(member, [posted(timestamp="2999-01-01")]).status_code == 400
        assert not Origin.objects.exists()
    first = post(member)
    assert first.status_code == 201
    assert post(member, [posted(timestamp="2999-01-01")]).status_code == 422
    assert answer_of(post(member)) == answer_of(first)


def test_a_repetition_is_authorized_like_the_first(member):
    assert post(member).status_code == 201
    ApiToken.objects.update(scopes=["read"])
    assert post(member).status_code == 403


def test_the_first_answer_is_given_when_the_process_died_after_the_commit(member, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(meters, "echo_samples", lambda *args, **options: 1 / 0)
        assert post(member).status_code == 500
    (batch,) = Batch.objects.all()
    answer = post(member)
    assert answer.status_code == 201
    assert answer["X-Celometer-Batch"] == str(batch.pk)
    assert Sample.objects.count() == 1


def test_nothing_is_lost_when_the_process_died_before_the_commit(member, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(storing, "post_samples", lambda *args, **options: 1 / 0)
        assert post(member).status_code == 500
    assert Origin.objects.count() == 1
    assert not Batch.objects.exists()
    posting.forget_signer()
    first = post(member)
    assert first.status_code == 201
    assert answer_of(post(member)) == answer_of(first)
    assert Sample.objects.count() == 1


def test_a_post_that_found_the_store_away_is_stored_by_its_repetition(member, monkeypatch):
    def away(*args, **options):
        raise OperationalError("the store went away")

    with monkeypatch.context() as broken:
        broken.setattr(posting, "store_message", away)
        assert post(member).status_code == 503
    assert post(member).status_code == 201
    assert Sample.objects.count() == 1


def test_a_parked_post_is_parked_once_and_stored_once(member, monkeypatch):
    monkeypatch.setattr(posting, "_PARKED_WAIT_SECONDS", 0)
    samples = [posted(timestamp="2011-03-04T05:06:07")]
    first = post(member, samples)
    assert first.status_code == 202
    assert answer_of(post(member, samples)) == answer_of(first)
    assert ParkedBatch.objects.count() == 1


def test_a_parked_post_is_found_once_it_was_taken_in(store, monkeypatch):
    monkeypatch.setattr(posting, "_PARKED_WAIT_SECONDS", 0)
    member = Caller("member", "p1")
    samples = [posted(timestamp="2012-03-04T05:06:07")]
    first = post(member, samples)
    admit_parked(timezone.now())
    answer = post(member, samples)
    assert answer.status_code == 201
    assert answer.content == first.content
    assert [row["message_id"] for row in member.rows(PATH)] == [first.json()[0]["message_id"]]


@pytest.mark.parametrize("different", [False, True])
def test_the_same_request_many_times_at_once_is_stored_once(store, different):
    callers = [Caller("member", "p1") for _ in range(6)]
    gate = threading.Barrier(len(callers))
    answers = []

    def send(number, caller):
        gate.wait()
        # Another source would be another origin: the key must hold all the same.
        body = [posted(source=f"s{number}")] if different else [posted()]
        answers.append(post(caller, body))
        connection.close()

    threads = [threading.Thread(target=send, args=entry) for entry in enumerate(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    statuses = sorted(answer.status_code for answer in answers)
    if different:
        assert statuses == [201, 422, 422, 422, 422, 422]
    else:
        assert statuses == [201] * 6
        assert len({answer.content for answer in answers}) == 1
    assert (Batch.objects.count(), Sample.objects.count()) == (1, 1)


def test_keys_are_kept_as_long_as_origins_are(member):
    keep = read_policy().origins
    first = post(member)
    retention.drop_expired(timezone.now() + keep - timedelta(days=7))
    assert answer_of(post(member)) == answer_of(first)
    retention.drop_expired(timezone.now() + keep + timedelta(days=8))
    assert not Origin.objects.exists()
