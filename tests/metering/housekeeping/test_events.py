"""Events of any time have a place, go when theirs is over, and can be held against and made again from the ledger."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone

from metering.collector.ingestion import Result, ingest
from metering.housekeeping.parked import admit_parked
from metering.housekeeping.partitions import EVENTS, ensure_weeks, week_of
from metering.housekeeping.retention import drop_expired
from metering.messages import to_microseconds
from metering.models import Batch, Event, EventOwner, EventRaw, ParkedBatch, Quarantine, Sample
from metering.retention.policy import load_policy, read_policy
from tests.support.agents import EnrolledAgent, some_samples
from tests.support.events import events_in_store, make_event

from .test_retention import NOW, POLICY, ago, kept, names, partitions_at, policy, take_in

__all__ = ["kept", "policy"]


def message(agent, moment, *, due=None, **fields):
    return agent.events_message([make_event(at=moment, raw={"x": 1}, **fields)], due=to_microseconds(due or moment))


# --- places ---


@pytest.mark.django_db
def test_an_event_of_2013_sent_today_is_stored_once_its_partition_is_made():
    moment = datetime(2013, 7, 3, 12, tzinfo=UTC)
    sent = EnrolledAgent().events_message([make_event(at=moment, raw={"x": 1})])
    before = names()
    assert ingest(sent).result == Result.PARKED
    assert [outcome.result for outcome in admit_parked(timezone.now())] == [Result.STORED]
    assert not ParkedBatch.objects.exists()
    assert (Event.objects.get().generated_at, EventRaw.objects.count()) == (moment, 1)
    assert ingest(sent).result == Result.DUPLICATE
    # What events have no need of is not made.
    assert names() - before == {"metering_event_20130701", "metering_eventraw_20130701"}


@pytest.mark.django_db
def test_partitions_of_events_have_the_parents_indexes():
    ensure_weeks([week_of(datetime(2013, 7, 3, tzinfo=UTC))], parents=EVENTS)
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE tablename = 'metering_event_20130701'")
        found = " ".join(row[0] for row in cursor.fetchall())
    assert found.count("CREATE") == 5
    assert "UNIQUE INDEX" in found and "USING gin (traits jsonb_path_ops)" in found


# --- retention ---

WITH_EVENTS = POLICY + "events: 60 days\nraw: 20 days\n"


def test_events_and_payloads_go_each_at_their_time(kept, policy):
    policy(WITH_EVENTS)
    agent = EnrolledAgent()
    take_in(*(message(agent, ago(days), id=f"m{days}") for days in (90, 40, 5)))
    drop_expired(NOW)
    assert set(Event.objects.values_list("message_id", flat=True)) == {"m40", "m5"}
    assert [row.generated_at for row in EventRaw.objects.all()] == [ago(5)]
    assert drop_expired(NOW) == []


def test_what_comes_from_below_the_floor_of_events_is_quarantined(kept, policy):
    policy(WITH_EVENTS)
    drop_expired(NOW)
    outcome = ingest(message(EnrolledAgent(), ago(90), due=ago(0), type="image.update"))
    floor = week_of(ago(60))
    assert (outcome.reason, outcome.detail) == (
        "below_floor",
        f"event image.update at {ago(90):%Y-%m-%dT%H:%M:%SZ}: events have been dropped before {floor:%Y-%m-%dT%H:%M:%SZ}",
    )
    assert Quarantine.objects.exists() and not Event.objects.exists()


def test_an_event_from_below_the_floor_of_payloads_is_stored_without_its_own(kept, policy):
    policy(WITH_EVENTS)
    drop_expired(NOW)
    assert take_in(message(EnrolledAgent(), ago(40), due=ago(0))) == [Result.STORED]
    assert (Event.objects.count(), EventRaw.objects.count()) == (1, 0)
    assert partitions_at(ago(40), "event", "eventraw") == ["event"]


def test_a_header_lives_as_long_as_any_of_its_events(kept, policy):
    policy(POLICY + "events: forever\nraw: forever\n")
    agent = EnrolledAgent()
    take_in(
        message(agent, ago(200)),
        agent.message(some_samples(1, at=to_microseconds(ago(170))), due=to_microseconds(ago(170))),
    )
    drop_expired(NOW)
    assert not Sample.objects.exists()
    assert [batch.kind for batch in Batch.objects.all()] == ["events"]
    policy(WITH_EVENTS)
    drop_expired(NOW)
    assert not Batch.objects.exists() and not Event.objects.exists()


def test_a_file_from_before_there_were_events_keeps_them_for_ever(kept, tmp_path):
    assert (load_policy(tmp_path / "retention.yaml").events, load_policy(tmp_path / "retention.yaml").raw) == (
        None,
        None,
    )
    take_in(message(EnrolledAgent(), ago(3000)))
    drop_expired(NOW)
    assert (Event.objects.count(), EventRaw.objects.count()) == (1, 1)


def test_the_shipped_policy_keeps_events_and_payloads_as_long_as_samples():
    shipped = read_policy()
    assert shipped.events == shipped.raw == shipped.keep_of("standard") == timedelta(days=20 * 366)


# --- audit and rebuild ---


@pytest.fixture
def audited(store):
    agent = EnrolledAgent()
    events = [
        make_event(id=f"m{n}", at=timezone.now() - timedelta(seconds=n), n=n, x=0.1 * n, raw={"n": n})
        for n in range(12)
    ]
    for split in ((0, 8), (4, 12), (2, 10)):
        ingest(agent.events_message(events[slice(*split)]))
    ingest(agent.message(some_samples(2)))
    return events_in_store()


def audit():
    out = StringIO()
    try:
        call_command("audit", stdout=out, stderr=StringIO())
    except CommandError as error:
        return f"{out.getvalue()}{error}"
    return out.getvalue()


def rebuild():
    call_command("rebuild", stdout=StringIO(), stderr=StringIO())


def test_a_store_that_nobody_touched_is_what_was_signed(audited):
    assert "the store is what was signed\n" in audit()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("UPDATE metering_event SET traits = '[]' WHERE message_id = 'm5'", "traits is []"),
        ("UPDATE metering_event SET traits = replace(traits::text, '0.1', '0.2')::jsonb WHERE message_id = 'm1'", "traits is"),
        ("UPDATE metering_event SET owner_id = (SELECT id FROM metering_eventowner WHERE user_id = 'u9')", "project is p9"),
        ("UPDATE metering_event SET message_id = 'x' WHERE message_id = 'm5'", "id is x, signed was m5"),
        ("UPDATE metering_event SET generated_at = generated_at - interval '1 hour' WHERE message_id = 'm5'", "no batch has it"),
        ("UPDATE metering_eventraw SET raw = '{\"n\":5}' WHERE raw LIKE '%: 5}'", 'raw is {"n":5}, signed was {"n": 5}'),
        ("DELETE FROM metering_eventraw WHERE raw LIKE '%: 5}'", "raw is {}"),
        ("DELETE FROM metering_event WHERE message_id = 'm5'", "compute.instance.create.end m5 is missing"),
        ("DELETE FROM metering_event", "m5 is missing"),
        ("UPDATE metering_batch SET stored_count = 3 WHERE kind = 'events' AND sequence = 1", "stored_count is 3, signed was 8"),
        ("UPDATE metering_batch SET kind = 'events'", "kind is events, signed was samples"),
        ("UPDATE metering_event SET id = gen_random_uuid() WHERE message_id = 'm5'", "no batch has it at that time"),
    ],
)  # fmt: skip
def test_what_was_changed_by_hand_is_found_and_put_right(audited, change, found):
    EventOwner.objects.create(project_id="p9", user_id="u9")
    with connection.cursor() as cursor:
        cursor.execute(change)
    report = audit()
    assert "the store is not what was signed" in report
    assert found in report
    rebuild()
    assert events_in_store() == audited
    assert "the store is what was signed\n" in audit()


def test_rebuilding_from_nothing_gives_all_events_back_whatever_came_first(store):
    agent = EnrolledAgent()
    events = [make_event(id=f"m{n}", at=timezone.now() - timedelta(seconds=n), n=n, raw={"n": n}) for n in range(20)]
    messages = [agent.events_message(random.Random(n).sample(events, 9)) for n in range(8)]
    for sent in random.Random(1).sample(messages, len(messages)):
        ingest(sent)
    before = events_in_store()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE metering_event, metering_eventraw")
    rebuild()
    assert events_in_store() == before
    assert "the store is what was signed\n" in audit()
