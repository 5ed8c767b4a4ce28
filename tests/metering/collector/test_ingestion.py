"""Taking messages in: each sample exactly once, and everything else in quarantine with its reason."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings

from metering.collector import ingestion
from metering.collector.ingestion import Result, ingest, release
from metering.messages import Meter, Origin, Resource, Sample, from_microseconds, sample_id
from metering.models import (
    AgentKey,
    Batch,
    BatchBody,
    ParkedBatch,
    Quarantine,
    ResourceState,
    RollupMark,
    Series,
)
from metering.models import (
    Meter as StoredMeter,
)
from metering.models import (
    Origin as StoredOrigin,
)
from metering.models import (
    Sample as StoredSample,
)
from tests.support.agents import CPU, MEMORY, EnrolledAgent, now_microseconds, some_samples
from tests.support.strategies import sample_lists

pytestmark = pytest.mark.django_db


def test_a_batch_is_stored_as_it_was_signed():
    agent = EnrolledAgent()
    sealed = agent.seal(some_samples(3))

    outcome = ingest(sealed.to_bytes())

    assert outcome == (Result.STORED, sealed.header.id, "", "")
    batch = Batch.objects.get()
    assert (bytes(batch.header), bytes(batch.signature)) == (sealed.header_bytes, sealed.signature)
    assert bytes(BatchBody.objects.get(pk=batch.pk).body) == sealed.body
    assert (batch.sample_count, batch.stored_count, batch.sequence) == (3, 3, 1)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(samples=sample_lists)
def test_what_is_read_back_equals_what_was_measured(samples):
    ingestion.dimensions.clear()
    agent = EnrolledAgent(f"node-{now_microseconds()}")
    recent = [sample._replace(timestamp=now_microseconds()) for sample in samples]
    sealed = agent.seal(recent)
    assert ingest(sealed.to_bytes()).result == Result.STORED, Quarantine.objects.values("reason", "detail")
    for position, sample in enumerate(recent):
        row = StoredSample.objects.select_related("meter", "resource", "state").get(
            pk=sample_id(sealed.header.id, position)
        )
        assert row.volume == Decimal(sample.volume)
        assert row.timestamp == from_microseconds(sample.timestamp)
        assert (row.meter.name, row.meter.type, row.meter.unit) == (
            sample.meter.name,
            sample.meter.type,
            sample.meter.unit,
        )
        assert (row.resource.resource_id, row.resource.source) == (sample.resource.id, sample.resource.source)
        assert (row.resource.project_id, row.resource.user_id) == (sample.resource.project, sample.resource.user)
        assert _as_numbers(row.state.metadata) == _as_numbers(sample.resource.metadata)


def _as_numbers(metadata):
    """JSON has one kind of number: the store may write 6e16 as an integer."""
    return json.loads(json.dumps(metadata), parse_int=float)


def test_large_integers_and_long_fractions_stay_exact():
    resource = Resource(id="r", source="s")
    volumes = ["9007199254740993", "0.1234567890123456789012345678901234567890", "-12345678901234567890.5", "1.50"]
    ingest(EnrolledAgent().message([Sample(CPU, resource, now_microseconds(), volume) for volume in volumes]))
    stored = [str(volume) for volume in StoredSample.objects.order_by("id").values_list("volume", flat=True)]
    assert stored == volumes


def test_a_message_delivered_again_is_acknowledged_and_counted_but_not_stored_again():
    agent = EnrolledAgent()
    message = agent.message(some_samples(2))
    assert [ingest(message).result for _ in range(3)] == [Result.STORED, Result.DUPLICATE, Result.DUPLICATE]
    assert StoredSample.objects.count() == 2
    assert AgentKey.objects.get().duplicate_count == 2
    assert RollupMark.objects.count() == 1


def test_a_polls_repeat_is_the_same_batch_although_it_measured_again():
    agent = EnrolledAgent()
    due = now_microseconds()
    assert ingest(agent.message(some_samples(2), due=due, unit="0")).result == Result.STORED
    # Its outbox was lost and with it the stream.
    agent.stream, agent.sequence, agent.previous = uuid4(), 0, ""
    assert ingest(agent.message(some_samples(3), due=due, unit="0")).result == Result.DUPLICATE
    assert StoredSample.objects.count() == 2


def test_two_machines_under_one_name_are_no_repeat_of_each_other():
    due = now_microseconds()
    one, other = EnrolledAgent("localhost"), EnrolledAgent("localhost")
    assert ingest(one.message(some_samples(2), due=due, unit="0")).result == Result.STORED
    assert ingest(other.message(some_samples(3), due=due, unit="0")).reason == "conflicting_batch"


def test_a_copied_machine_is_no_repeat_of_the_first():
    agent = EnrolledAgent()
    due = now_microseconds()
    assert ingest(agent.message(some_samples(2), due=due, unit="0")).result == Result.STORED
    assert ingest(agent.message(some_samples(3), due=due, unit="0")).reason == "conflicting_batch"


def test_another_batch_made_from_inputs_under_the_same_id_is_quarantined():
    agent = EnrolledAgent()
    due = now_microseconds()
    assert ingest(agent.message(some_samples(1), due=due, unit="0", origins=[Origin("a", 1)])).result == Result.STORED
    outcome = ingest(agent.message(some_samples(1), due=due, unit="0", origins=[Origin("b", 1)]))
    assert (outcome.result, outcome.reason) == (Result.QUARANTINED, "conflicting_batch")
    assert StoredSample.objects.count() == 1
    assert not StoredOrigin.objects.filter(key="b").exists()


@pytest.mark.parametrize("stream", ["the same", "another"])
def test_what_was_made_again_of_the_same_inputs_is_a_duplicate(stream):
    """A task that comes again when the outbox was lost, or has forgotten it after a day."""
    agent = EnrolledAgent()
    due, samples = now_microseconds(), some_samples(1)
    ingest(agent.message(samples, due=due, unit="0", origins=[Origin("a", 1)]))
    if stream == "another":
        agent.stream, agent.sequence, agent.previous = uuid4(), 0, ""
    outcome = ingest(agent.message(samples, due=due, unit="0", origins=[Origin("a", 1)]))
    assert outcome.result == Result.DUPLICATE
    assert StoredSample.objects.count() == 1
    assert not Quarantine.objects.exists()


def test_an_input_that_was_metered_before_is_skipped_within_another_batch():
    agent = EnrolledAgent()
    one, two, three = some_samples(3)
    ingest(agent.message([one, two], origins=[Origin("message-1", 1), Origin("message-2", 1)]))
    ingest(agent.message([two, three], origins=[Origin("message-2", 1), Origin("message-3", 1)]))
    assert sorted(StoredSample.objects.values_list("resource__resource_id", flat=True)) == ["vm-0", "vm-1", "vm-2"]
    assert list(Batch.objects.order_by("sequence").values_list("sample_count", "stored_count")) == [(2, 2), (2, 1)]


def test_one_key_of_two_sources_is_two_inputs():
    agent = EnrolledAgent()
    one = some_samples(1, source="a")
    other = some_samples(1, source="b")
    third = some_samples(1, source="c")
    ingest(agent.message([*one, *other], origins=[Origin("k", 1), Origin("k", 1)]))
    ingest(agent.message([*one, *third], origins=[Origin("k", 1), Origin("k", 1)]))
    assert sorted(StoredSample.objects.values_list("resource__source", flat=True)) == ["a", "b", "c"]


def test_an_input_twice_in_one_batch_is_metered_once():
    # The second run has the same key: only the first counts.
    agent = EnrolledAgent()
    ingest(agent.message(some_samples(2), origins=[Origin("message-1", 1), Origin("message-1", 1)]))
    assert list(StoredSample.objects.values_list("resource__resource_id", flat=True)) == ["vm-0"]


def test_each_hour_and_meter_that_a_batch_touches_is_marked_once():
    hour = 3_600_000_000
    now = now_microseconds()
    resources = [Resource(id=f"r{n}", source="s") for n in range(3)]
    samples = [
        Sample(meter, resource, now - ago * hour, "1")
        for meter in (CPU, MEMORY)
        for resource in resources
        for ago in (0, 5)
    ]
    sealed = EnrolledAgent().seal(samples)
    ingest(sealed.to_bytes())
    marks = set(RollupMark.objects.values_list("hour", "meter__name", "batch_id"))
    hours = {from_microseconds((now - ago * hour) // hour * hour) for ago in (0, 5)}
    assert marks == {(moment, name, sealed.header.id) for moment in hours for name in ("cpu", "memory")}
    assert RollupMark.objects.count() == 4


def test_small_tables_hold_each_thing_once():
    agent = EnrolledAgent()
    for _ in range(3):
        ingestion.dimensions.clear()
        ingest(agent.message(some_samples(4)))
    assert (StoredMeter.objects.count(), ResourceState.objects.count(), Series.objects.count()) == (1, 4, 4)
    assert StoredMeter.objects.get().service == "compute"


def test_a_resource_without_owner_is_one_resource():
    agent = EnrolledAgent()
    for _ in range(2):
        ingestion.dimensions.clear()
        ingest(agent.message([Sample(CPU, Resource(id="host", source="hardware"), now_microseconds(), "1")]))
    assert Series.objects.count() == 1


def test_a_known_batch_costs_one_statement_per_step(django_assert_num_queries):
    agent = EnrolledAgent()
    ingest(agent.message(some_samples(5)))
    message = agent.message(some_samples(5))
    # key; begin; ledger; samples; marks; commit.
    with django_assert_num_queries(6):
        ingest(message)


REFUSALS = {
    "unknown_key": lambda agent: EnrolledAgent("stranger", enroll=False).message(some_samples(1)),
    "out_of_scope": lambda agent: agent.message(some_samples(1, source="another")),
    "clock_skew": lambda agent: agent.message(some_samples(1), made=now_microseconds() + 10 * 60_000_000),
    "time_out_of_bounds": lambda agent: agent.message(some_samples(1, at=now_microseconds() + 2 * 3_600_000_000)),
    "malformed": lambda agent: b"not a message",
    "unsupported_version": lambda agent: b"CELO\x63" + bytes(80),
    "bad_signature": lambda agent: agent.seal(some_samples(1))._replace(signature=bytes(64)).to_bytes(),
    "tampered_body": lambda agent: agent.message(some_samples(1)) + b"x",
}


@pytest.mark.parametrize("reason", REFUSALS)
def test_what_is_refused_is_quarantined_with_reason_and_bytes_and_never_stored(reason):
    message = REFUSALS[reason](EnrolledAgent(sources=["openstack"]))
    outcome = ingest(message)
    assert (outcome.result, outcome.reason) == (Result.QUARANTINED, reason)
    entry = Quarantine.objects.get()
    assert (entry.reason, bytes(entry.message)) == (reason, message)
    assert entry.detail
    assert not StoredSample.objects.exists() and not Batch.objects.exists()


def test_samples_before_the_floor_date_are_refused_with_both_bounds():
    outcome = ingest(EnrolledAgent().message(some_samples(1, at=1_000_000_000_000_000)))
    assert outcome.reason == "time_out_of_bounds"
    assert "2001-09-09" in outcome.detail and "expected 2010-01-01T00:00:00" in outcome.detail


def test_another_agents_name_over_ones_own_key_is_refused():
    EnrolledAgent("victim")
    outcome = ingest(EnrolledAgent("attacker").message(some_samples(1), agent="victim"))
    assert (outcome.reason, Batch.objects.count()) == ("unknown_key", 0)


def test_a_project_out_of_the_keys_scope_is_refused_and_none_is_not_a_way_round():
    agent = EnrolledAgent(projects=["p1"])
    assert ingest(agent.message(some_samples(1, project="p1"))).result == Result.STORED
    assert ingest(agent.message(some_samples(1, project="p2"))).reason == "out_of_scope"
    assert ingest(agent.message(some_samples(1, project=None))).reason == "out_of_scope"


def test_a_revoked_key_is_refused_from_then_on():
    agent = EnrolledAgent()
    AgentKey.objects.update(revoked_at=timezone.now())
    assert ingest(agent.message(some_samples(1))).reason == "key_not_valid"


def test_a_flood_of_one_bad_message_is_one_row_that_counts():
    for _ in range(5):
        ingest(b"garbage")
    assert Quarantine.objects.get().received_count == 5


def test_a_message_that_only_the_store_refuses_is_quarantined():
    # Four ids of 255 four-byte characters do not fit an index entry.
    wide = "".join(chr(0x10000 + number) for number in range(255))
    resource = Resource(id=wide, source=wide[::-1], project=wide[5:] + wide[:5], user=wide[9:] + wide[:9])
    outcome = ingest(EnrolledAgent().message([Sample(CPU, resource, now_microseconds(), "1")]))
    assert (outcome.result, outcome.reason) == (Result.QUARANTINED, "store_refused")


def test_release_after_enrolling_the_key_stores_the_batch():
    operator = get_user_model().objects.create(username="op")
    agent = EnrolledAgent(enroll=False)
    ingest(agent.message(some_samples(2)))
    entry = Quarantine.objects.get()
    assert release(entry, by=operator).reason == "unknown_key"
    assert Quarantine.objects.get().released_at is None

    agent.enroll()
    assert release(entry, by=operator).result == Result.STORED
    entry.refresh_from_db()
    assert (entry.released_by, StoredSample.objects.count()) == (operator, 2)


def test_release_waives_policy_but_never_the_signature():
    operator = get_user_model().objects.create(username="op")
    agent = EnrolledAgent(sources=["openstack"])
    ingest(agent.message(some_samples(1, source="another")))
    assert release(Quarantine.objects.get(), by=operator).result == Result.STORED
    Quarantine.objects.all().delete()
    ingest(agent.seal(some_samples(1))._replace(signature=bytes(64)).to_bytes())
    assert release(Quarantine.objects.get(), by=operator).reason == "bad_signature"


def test_a_batch_of_a_time_without_partition_is_parked_whole():
    at = int(datetime(2013, 7, 3, tzinfo=UTC).timestamp()) * 1_000_000
    message = EnrolledAgent().message([*some_samples(1), *some_samples(1, at=at)])
    outcome = ingest(message)
    assert outcome.result == Result.PARKED
    assert bytes(ParkedBatch.objects.get().message) == message
    assert not StoredSample.objects.exists() and not Batch.objects.exists() and not RollupMark.objects.exists()


def test_another_batch_under_the_id_of_a_parked_one_is_not_lost():
    agent = EnrolledAgent()
    at = int(datetime(2013, 7, 3, tzinfo=UTC).timestamp()) * 1_000_000
    due = now_microseconds()
    assert (
        ingest(agent.message(some_samples(1, at=at), due=due, unit="0", origins=[Origin("a", 1)])).result
        == Result.PARKED
    )
    outcome = ingest(agent.message(some_samples(1, at=at), due=due, unit="0", origins=[Origin("b", 1)]))
    assert (outcome.result, outcome.reason) == (Result.QUARANTINED, "conflicting_batch")


def test_two_collectors_given_the_same_batches_at_once_store_each_once(store):
    agent = EnrolledAgent()
    messages = [agent.message(some_samples(5)) for _ in range(20)]

    def collect(order):
        for message in order:
            ingest(message)
        connection.close()

    threads = [threading.Thread(target=collect, args=[order]) for order in (messages, messages[::-1], messages)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (Batch.objects.count(), StoredSample.objects.count()) == (20, 100)
    assert Quarantine.objects.count() == 0
    assert AgentKey.objects.get().duplicate_count == 40


def test_samples_of_a_batch_lie_between_its_id_and_its_last_position():
    sealed = EnrolledAgent().seal(some_samples(7))
    ingest(sealed.to_bytes())
    ids = list(StoredSample.objects.order_by("id").values_list("id", flat=True))
    assert ids == [sample_id(sealed.header.id, position) for position in range(7)]


def test_timestamps_keep_their_microseconds():
    at = now_microseconds() // 1_000_000 * 1_000_000 + 123_457
    ingest(EnrolledAgent().message([Sample(Meter("m", "gauge", ""), Resource(id="r", source="s"), at, "1")]))
    stored = StoredSample.objects.get().timestamp
    assert stored.microsecond == 123_457 and stored - from_microseconds(at) == timedelta(0)
