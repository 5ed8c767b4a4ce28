"""Batches of events: each event in the store once, as it was signed, in whatever batches and however often it comes."""

from __future__ import annotations

import json
import random
import threading
from datetime import timedelta
from uuid import uuid4

import msgspec
import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.collector import ingestion
from metering.collector.ingestion import Result, ingest, opener, release
from metering.messages import Origin, from_microseconds, sample_id, to_microseconds
from metering.models import Batch, BatchBody, Event, EventOwner, EventRaw, EventType, Quarantine, TraitKind
from metering.queries.traits import read_traits
from tests.support.agents import EnrolledAgent, now_microseconds, some_samples
from tests.support.events import events_in_store, make_event
from tests.support.strategies import event_lists

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def recent(**fields):
    return make_event(at=NOW, **fields)


def expected(events):
    """The same as ``events_in_store`` gives, of what was sent."""
    return {
        event.id: (
            event.type,
            event.source,
            from_microseconds(event.generated),
            list(event.traits),
            bytes(event.raw).decode(),
        )
        for event in events
    }


def stored():
    return {key: (*row[:3], read_traits(row[3]), row[4] or "{}") for key, row in events_in_store().items()}


def test_a_batch_of_events_is_stored_as_it_was_signed():
    sealed = EnrolledAgent().seal_events([recent(id="a", raw={"x": 1}), recent(id="b")])
    assert ingest(sealed.to_bytes()) == (Result.STORED, sealed.header.id, "", "")
    batch = Batch.objects.get()
    assert (bytes(batch.header), bytes(batch.signature)) == (sealed.header_bytes, sealed.signature)
    assert bytes(BatchBody.objects.get(pk=batch.pk).body) == sealed.body
    assert (batch.kind, batch.sample_count, batch.stored_count) == ("events", 2, 2)
    assert batch.first_sample_at == batch.last_sample_at == NOW
    assert set(Event.objects.values_list("id", flat=True)) == {sample_id(sealed.header.id, n) for n in range(2)}
    # An empty payload takes no room.
    assert EventRaw.objects.count() == 1


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=event_lists)
def test_what_is_read_back_equals_what_was_signed(events):
    ingestion.dimensions.clear()
    Event.objects.all().delete()
    EventRaw.objects.all().delete()
    moments = [now_microseconds() - number for number in range(len(events))]
    events = [msgspec.structs.replace(event, generated=at) for event, at in zip(events, moments, strict=True)]
    outcome = ingest(EnrolledAgent(f"node-{uuid4()}").events_message(events))
    assert outcome.result == Result.STORED, outcome
    assert stored() == expected(events)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(st.integers(0, 11), min_size=1, max_size=12),
    splits=st.lists(st.lists(st.integers(0, 11), min_size=1, max_size=12), min_size=1, max_size=5),
)
def test_events_that_come_again_in_other_batches_are_stored_once(events, splits):
    ingestion.dimensions.clear()
    Event.objects.all().delete()
    Batch.objects.all().delete()
    all_events = [recent(id=f"m{number}", raw={"n": number}, n=number) for number in range(12)]
    agent = EnrolledAgent(f"node-{uuid4()}")
    messages = [agent.events_message([all_events[number] for number in split]) for split in [events, *splits]]
    for message in [*messages, *random.sample(messages, len(messages))]:
        assert ingest(message).result in {Result.STORED, Result.DUPLICATE}
    sent = {number for split in [events, *splits] for number in split}
    assert stored() == expected(all_events[number] for number in sent)
    assert sum(Batch.objects.values_list("stored_count", flat=True)) == len(sent)


def test_a_message_delivered_again_is_a_duplicate():
    message = EnrolledAgent().events_message([recent(), recent()])
    assert [ingest(message).result for _ in range(3)] == [Result.STORED, Result.DUPLICATE, Result.DUPLICATE]
    assert Event.objects.count() == 2


def test_the_first_of_two_batches_keeps_an_event_that_both_bring():
    agent = EnrolledAgent()
    first, second = (
        agent.seal_events([recent(id="a", n=1)]),
        agent.seal_events([recent(id="a", n=1), recent(id="b", n=2)]),
    )
    assert [ingest(sealed.to_bytes()).result for sealed in (first, second)] == [Result.STORED] * 2
    assert dict(Event.objects.values_list("message_id", "id")) == {
        "a": sample_id(first.header.id, 0),
        "b": sample_id(second.header.id, 1),
    }
    assert list(Batch.objects.order_by("sequence").values_list("stored_count", flat=True)) == [1, 1]


def test_one_id_from_two_sources_is_two_events():
    ingest(EnrolledAgent().events_message([recent(id="a", source="east"), recent(id="a", source="west")]))
    assert Event.objects.count() == 2


def test_the_same_batch_id_with_other_events_is_quarantined():
    agent, due = EnrolledAgent(), now_microseconds()
    assert ingest(agent.events_message([recent(id="a")], due=due, unit="0")).result == Result.STORED
    agent.stream = uuid4()
    assert ingest(agent.events_message([recent(id="b")], due=due, unit="0")).reason == "conflicting_batch"
    assert [event.message_id for event in Event.objects.all()] == ["a"]


def test_events_and_samples_of_one_notification_do_not_take_each_other_s_place():
    agent = EnrolledAgent()
    assert ingest(agent.message(some_samples(2), origins=[Origin("a", 2)])).result == Result.STORED
    assert ingest(agent.events_message([recent(id="a")])).result == Result.STORED
    assert sorted(Batch.objects.values_list("kind", "stored_count")) == [("events", 1), ("samples", 2)]


def test_small_tables_name_each_type_trait_and_owner_once():
    agent = EnrolledAgent()
    for project in ("p1", "p2", None):
        ingest(agent.events_message([recent(type=kind, project=project, n=1, x=0.5) for kind in ("a", "b")]))
    assert sorted(EventType.objects.values_list("name", flat=True)) == ["a", "b"]
    assert EventOwner.objects.count() == 3
    assert sorted(TraitKind.objects.filter(event_type__name="a").values_list("name", "type")) == [
        ("n", "integer"),
        ("project_id", "string"),
        ("user_id", "string"),
        ("x", "float"),
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"source": "elsewhere"}, "out_of_scope"),
        ({"project": "p2"}, "out_of_scope"),
        ({"project": None}, "out_of_scope"),
        ({"at": NOW + timedelta(days=30)}, "time_out_of_bounds"),
    ],
)
def test_what_a_key_may_not_sign_is_quarantined_and_nothing_of_it_stored(fields, reason):
    agent = EnrolledAgent(sources=["openstack"], projects=["p1"])
    outcome = ingest(agent.events_message([recent(), make_event(**{"at": NOW, **fields})]))
    assert (outcome.result, outcome.reason) == (Result.QUARANTINED, reason)
    assert not Event.objects.exists() and not Batch.objects.exists()
    assert bytes(Quarantine.objects.get().message)


def test_an_operator_releases_quarantined_events():
    ingest(EnrolledAgent(sources=["elsewhere"]).events_message([recent(id="a")]))
    assert release(Quarantine.objects.get(), by=None).result == Result.STORED
    assert [event.message_id for event in Event.objects.all()] == ["a"]


def test_a_damaged_batch_is_quarantined():
    message = bytearray(EnrolledAgent().events_message([recent()]))
    message[-3] ^= 1
    assert ingest(bytes(message)).reason == "tampered_body"


def test_values_are_kept_by_type_and_exactly():
    ingest(EnrolledAgent().events_message([recent(big=2**53 + 1, fraction=0.1, tiny=5e-324, huge=1e308)]))
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT t->'big'->>'integer', t->'fraction'->>'float' FROM metering_event, jsonb_array_elements(traits) t"
        )
        values = {value for row in cursor.fetchall() for value in row if value}
    assert values == {"9007199254740993", "0.1"}
    assert {trait.name: trait.value for trait in next(iter(stored().values()))[3]} == {
        "project_id": "p1", "user_id": "member", "big": "9007199254740993", "fraction": "0.1", "tiny": "5e-324", "huge": "1e+308",
    }  # fmt: skip


@pytest.mark.usefixtures("store")
def test_events_opened_ahead_are_stored_alike():
    agent = EnrolledAgent()
    messages = [agent.events_message([recent(id=f"{batch}.{n}") for n in range(5)]) for batch in range(4)]
    for message, following in zip(messages, [*messages[1:], None], strict=True):
        if following:
            opener.announce(following)
        assert ingest(message).result is Result.STORED
    assert Event.objects.count() == 20


@pytest.mark.usefixtures("store")
def test_collectors_with_the_same_events_neither_double_them_nor_stop():
    agents = [EnrolledAgent(f"node-{number}") for number in range(3)]
    events = [recent(id=f"m{number}", raw={"n": number}) for number in range(60)]
    messages = [
        [agent.events_message(random.Random(f"{agent.name} {batch}").sample(events, 40)) for batch in range(5)]
        for agent in agents
    ]
    results = []

    def collect(mine):
        for message in mine:
            results.append(ingest(message))
        connection.close()

    threads = [threading.Thread(target=collect, args=[mine]) for mine in messages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Whoever the store asked to try again does so.
    assert {outcome.result for outcome in results} == {Result.STORED}, results
    assert len(events_in_store()) == Event.objects.count() == 60
    assert sum(Batch.objects.values_list("stored_count", flat=True)) == 60
    assert EventRaw.objects.count() == 60


def test_times_of_a_batch_are_those_of_what_was_stored():
    agent, earlier = EnrolledAgent(), NOW - timedelta(hours=5)
    old = make_event(at=earlier, id="old")
    ingest(agent.events_message([old]))
    ingest(agent.events_message([old, recent(id="new")]))
    batch = Batch.objects.get(sequence=2)
    assert (batch.first_sample_at, batch.last_sample_at) == (NOW, NOW)
    ingest(agent.events_message([old]))
    assert Batch.objects.get(sequence=3).first_sample_at is None


def test_json_of_traits_is_what_queries_are_written_for():
    ingest(EnrolledAgent().events_message([recent(project=None, user=None, launched=NOW, n=5, name='a"\\b')]))
    with connection.cursor() as cursor:
        cursor.execute("SELECT traits::text FROM metering_event")
        (text,) = cursor.fetchone()
    assert json.loads(text) == [
        {"launched": {"datetime": to_microseconds(NOW)}},
        {"n": {"integer": 5}},
        {"name": {"string": 'a"\\b'}},
    ]
