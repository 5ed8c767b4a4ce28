"""Event alarms: which events reach which alarms, and that each does so once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import OperationalError, connection, transaction

from alarms.evaluation import arrivals, event_cycle
from alarms.evaluation.event_cycle import evaluate_events
from alarms.models import Alarm, AlarmChange, Delivery, EventCursor
from metering.collector.ingestion import Result, ingest
from metering.housekeeping.partitions import ensure_weeks, week_of
from metering.messages import from_microseconds
from tests.alarms.making import make_alarm
from tests.support.agents import EnrolledAgent
from tests.support.events import make_event, store_event, store_events
from tests.support.samples import at

NOW = at("2016-01-05T12:00:00")


def event_rule(event_type="*", *query):
    return {"event_type": event_type, "query": list(query)}


def make_event_alarm(rule=None, **fields):
    return make_alarm(rule or event_rule("compute.*"), type="event", **fields)


def begin():
    """From here on events count."""
    assert evaluate_events(NOW)


def states():
    return dict(Alarm.objects.values_list("name", "state"))


def hits():
    """The message ids that have been told of, each time."""
    return [
        change.detail["transition_reason"].partition("<id=")[2].partition(",")[0]
        for change in AlarmChange.objects.order_by("recorded_at", "id")
    ]


def test_an_event_reaches_the_alarms_of_its_project_that_match(db):
    begin()
    make_event_alarm(name="hit")
    make_event_alarm(name="other type", rule=event_rule("image.*"))
    make_event_alarm(name="other project", project_id="p2")
    make_event_alarm(name="operator's", project_id="")
    make_event_alarm(name="disabled", enabled=False)
    make_event_alarm(
        name="query", rule=event_rule("*", {"field": "traits.size", "op": "gt", "value": "5", "type": "integer"})
    )
    store_event(type="compute.instance.create.end", project="p1", size=6)
    assert evaluate_events(NOW)
    alarmed = {name for name, state in states().items() if state == "alarm"}
    assert alarmed == {"hit", "operator's", "query"}
    assert Delivery.objects.count() == 3
    assert Alarm.objects.get(name="hit").state_at == NOW


def test_an_event_of_no_project_reaches_operators_alone(db):
    begin()
    make_event_alarm(name="customer's")
    make_event_alarm(name="operator's", project_id="")
    store_event(project=None)
    evaluate_events(NOW)
    assert states() == {"customer's": "insufficient data", "operator's": "alarm"}


def test_an_event_counts_once_and_an_alarm_stays_until_somebody_says_otherwise(db):
    begin()
    make_event_alarm()
    store_event(id="m1")
    for _ in range(3):
        evaluate_events(NOW)
    store_event(id="m2")
    evaluate_events(NOW)
    assert hits() == ["m1"]
    Alarm.objects.update(state="ok")
    evaluate_events(NOW)
    assert hits() == ["m1"]
    store_event(id="m3")
    evaluate_events(NOW)
    assert sorted(hits()) == ["m1", "m3"]


def test_an_alarm_that_repeats_tells_of_each_event_in_their_order(db):
    begin()
    make_event_alarm(repeat_actions=True)
    store_events([make_event(id=f"m{n}") for n in range(4)])
    evaluate_events(NOW)
    assert sorted(hits()) == ["m0", "m1", "m2", "m3"]
    told = [delivery.body for delivery in Delivery.objects.order_by("number")]
    assert [f'"message_id": "m{n}"' in body for n, body in enumerate(told)] == [True] * 4
    assert ['"previous": "alarm"' in body for body in told] == [False, True, True, True]


def test_events_from_before_the_first_look_do_not_count(db):
    make_event_alarm()
    store_event()
    begin()
    evaluate_events(NOW)
    assert hits() == []


def test_what_is_wrong_with_one_alarm_stops_no_other(db):
    begin()
    make_event_alarm(name="broken", rule={"event_type": "*", "query": [{"op": "eq"}]})
    make_event_alarm(
        name="boolean", rule=event_rule("*", {"field": "traits.x", "op": "eq", "value": "t", "type": "boolean"})
    )
    make_event_alarm(name="good")
    store_event(x="yes")
    evaluate_events(NOW)
    assert states() == {"broken": "insufficient data", "boolean": "alarm", "good": "alarm"}


def test_many_batches_are_read_some_at_a_time_each_once(db, monkeypatch):
    begin()
    make_event_alarm(repeat_actions=True)
    for n in range(7):
        store_events([make_event(id=f"m{n}-{k}") for k in range(n % 3 + 1)])
    found = arrivals.find_arrivals
    monkeypatch.setattr(event_cycle, "find_arrivals", lambda position: found(position, most_batches=2, most_events=3))
    assert evaluate_events(NOW)
    assert sorted(hits()) == sorted(f"m{n}-{k}" for n in range(7) for k in range(n % 3 + 1))


# --- Over several connections ------------------------------------------------------------------------------------------


def stored_later(event, agent):
    """Begin to store an event: the transaction is open until the first of the two returned calls, and ended by it or the other."""
    ensure_weeks({week_of(from_microseconds(event.generated))})
    message = agent.events_message([event])
    written, end, keeps = threading.Event(), threading.Event(), []

    def run():
        try:
            with transaction.atomic():
                assert ingest(message).result is Result.STORED
                written.set()
                assert end.wait(60)
                if not keeps[0]:
                    transaction.set_rollback(True)
        finally:
            connection.close()

    pool = ThreadPoolExecutor(1)
    future = pool.submit(run)
    assert written.wait(60), future.exception(1)

    def finish(keep):
        keeps.append(keep)
        end.set()
        future.result(60)
        pool.shutdown()

    return lambda: finish(True), lambda: finish(False)


def test_an_event_that_is_committed_late_is_neither_missed_nor_seen_twice(store):
    begin()
    make_event_alarm(repeat_actions=True)
    agents = [EnrolledAgent(f"listener-{n}") for n in range(3)]
    # Dimensions that all of them need are there already, so that they do not wait for one another.
    store_event(id="m0")
    commit_first, _ = stored_later(make_event(id="early"), agents[0])
    _, undo = stored_later(make_event(id="undone"), agents[1])
    store_events([make_event(id="late")], agents[2])
    evaluate_events(NOW)
    assert sorted(hits()) == ["late", "m0"]
    store_events([make_event(id="later")], agents[2])
    evaluate_events(NOW)
    evaluate_events(NOW)
    assert sorted(hits()) == ["late", "later", "m0"]
    assert set(EventCursor.objects.get().position["seen"]) != set()
    commit_first()
    evaluate_events(NOW)
    assert sorted(hits()) == ["early", "late", "later", "m0"]
    undo()
    evaluate_events(NOW)
    evaluate_events(NOW)
    assert sorted(hits()) == ["early", "late", "later", "m0"]
    # Nothing runs any more: there is nothing to remember.
    assert EventCursor.objects.get().position["seen"] == {}


def test_many_who_store_and_many_who_look_tell_of_each_event_once(store):
    begin()
    make_event_alarm(repeat_actions=True)
    store_event(id="first")
    agents = [EnrolledAgent(f"listener-{n}") for n in range(3)]
    done = threading.Event()

    def put(agent):
        try:
            for n in range(15):
                assert ingest(agent.events_message([make_event(id=f"{agent.name}-{n}")])).result is Result.STORED
        finally:
            connection.close()

    def look():
        try:
            while not done.is_set():
                evaluate_events(NOW)
        finally:
            connection.close()

    with ThreadPoolExecutor(5) as pool:
        looking = [pool.submit(look) for _ in range(2)]
        for future in [pool.submit(put, agent) for agent in agents]:
            future.result(60)
        done.set()
        for future in looking:
            future.result(60)
    evaluate_events(NOW)
    assert sorted(hits()) == sorted(["first", *(f"listener-{a}-{n}" for a in range(3) for n in range(15))])


def test_while_one_looks_another_does_nothing(store):
    begin()
    make_event_alarm()
    store_event(id="m1")
    with transaction.atomic():
        assert arrivals.take_cursor() is not None

        def look():
            try:
                return evaluate_events(NOW)
            finally:
                connection.close()

        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(look).result(60) is True
        assert hits() == []
    evaluate_events(NOW)
    assert hits() == ["m1"]


@pytest.mark.parametrize("step", [1, 2])
def test_an_alarm_that_is_edited_while_events_are_matched_misses_none(store, monkeypatch, step):
    """The edit comes after the first matching, or after the second: then it has to wait."""
    begin()
    make_event_alarm(rule=event_rule("compute.*"))
    store_event(id="m1")
    hits_of, steps = event_cycle._hits, []

    def edit():
        try:
            with transaction.atomic():
                alarm = Alarm.objects.select_for_update(nowait=True).get()
                alarm.name, alarm.version = "edited", 2
                alarm.save()
            return True
        except OperationalError:
            return False
        finally:
            connection.close()

    def edit_behind(alarms, events):
        found = hits_of(alarms, events)
        steps.append(len(found))
        if len(steps) == step:
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(edit).result(60) == (step == 1)
        return found

    monkeypatch.setattr(event_cycle, "_hits", edit_behind)
    evaluate_events(NOW)
    assert steps == [1, 1]
    assert (list(states().values()), hits()) == (["alarm"], ["m1"])


def test_a_store_whose_transactions_are_counted_anew_begins_with_what_comes(db):
    begin()
    make_event_alarm(repeat_actions=True)
    store_event(id="before")
    EventCursor.objects.update(position={"number": 2**60, "seen": {}, "read_at": NOW.isoformat()})
    evaluate_events(NOW)
    store_event(id="after")
    evaluate_events(NOW)
    assert hits() == ["after"]


@pytest.mark.parametrize("pattern", ["*", "", None])
def test_a_rule_without_a_type_is_about_every_event(db, pattern):
    begin()
    make_event_alarm(rule={"event_type": "*"} | ({"event_type": pattern} if pattern else {}) | {"query": []})
    store_event(type="anything.at.all")
    evaluate_events(NOW)
    assert list(states().values()) == ["alarm"]
