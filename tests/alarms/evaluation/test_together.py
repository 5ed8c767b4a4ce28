"""Evaluators beside one another, killed in between, and edits while they are at work: over connections of their own."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection

from alarms.evaluation import cycle, writing
from alarms.evaluation.claims import CLAIM_SECONDS, claim_due, next_due_at
from alarms.evaluation.cycle import evaluate_due
from alarms.models import Alarm, AlarmChange, Delivery, Schedule
from tests.alarms.evaluation.test_cycle import LAG, NOON, put
from tests.alarms.making import make_alarm, threshold_rule

NOW = NOON + LAG


@pytest.fixture(autouse=True)
def _store(store):
    yield


@contextmanager
def between_reading_and_writing(monkeypatch, action, *, times=1):
    """Call ``action`` when decisions are made and not yet written."""
    left = [times]
    write = cycle._write

    def write_later(alarms, decided, claim, now):
        if alarms and left[0]:
            left[0] -= 1
            action()
        return write(alarms, decided, claim, now)

    with monkeypatch.context() as patch:
        patch.setattr(cycle, "_write", write_later)
        yield


def in_thread(call):
    """The result of a call that has a connection of its own."""

    def run():
        try:
            return call()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result(60)


def check_told_once(count):
    assert Alarm.objects.filter(state="alarm").count() == count
    assert AlarmChange.objects.count() == Delivery.objects.count() == count
    assert len(set(Delivery.objects.values_list("alarm_id", flat=True))) == count


def test_evaluators_at_once_share_the_work_and_no_alarm_is_told_of_twice():
    for _ in range(60):
        make_alarm(threshold_rule(), repeat_actions=True)
    put(91)
    barrier = threading.Barrier(4)

    def work():
        barrier.wait(30)
        try:
            return evaluate_due(NOW, batch=5).alarms
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        shares = [future.result(60) for future in [pool.submit(work) for _ in range(4)]]
    assert sum(shares) == 60
    check_told_once(60)


def test_an_evaluator_that_died_delays_its_alarms_by_one_cycle():
    make_alarm(threshold_rule())
    put(91, 91)
    Schedule.objects.create(alarm=Alarm.objects.get(), due_at=NOW)
    in_thread(lambda: claim_due(NOW, most=10))
    assert evaluate_due(NOW).alarms == 0
    assert timedelta(seconds=CLAIM_SECONDS) < timedelta(minutes=1)
    assert evaluate_due(next_due_at(NOW)).alarms == 1
    check_told_once(1)


@pytest.mark.parametrize("state", ["insufficient data", "alarm"])
def test_an_evaluator_that_wakes_up_after_its_claim_has_ended_writes_nothing(monkeypatch, state):
    make_alarm(threshold_rule(), repeat_actions=True, state=state)
    put(91, 91)
    others = []

    def evaluate_elsewhere():
        others.append(in_thread(lambda: evaluate_due(NOW + timedelta(seconds=CLAIM_SECONDS))))

    with between_reading_and_writing(monkeypatch, evaluate_elsewhere):
        assert evaluate_due(NOW) == (1, 0, True)
    assert others == [(1, 1, True)]
    assert Alarm.objects.get().state == "alarm"
    assert Delivery.objects.count() == 1


def die(*_):
    raise SystemExit


def test_an_evaluator_that_dies_while_it_writes_has_written_nothing(monkeypatch):
    make_alarm(threshold_rule())
    put(91, 91)
    with monkeypatch.context() as patch:
        patch.setattr(writing.deliveries, "plan", die)
        with pytest.raises(SystemExit):
            evaluate_due(NOW)
    assert Alarm.objects.get().state == "insufficient data"
    assert AlarmChange.objects.count() == 0
    assert evaluate_due(next_due_at(NOW)).fired == 1
    check_told_once(1)


def edit(**changes):
    return lambda: in_thread(lambda: Alarm.objects.update(**changes))


@pytest.mark.parametrize(
    ("action", "states"),
    [
        (edit(version=2, rule=threshold_rule(threshold=95)), ["insufficient data"]),
        (edit(state="ok"), ["ok"]),
        (edit(enabled=False), ["insufficient data"]),
        (lambda: in_thread(lambda: Alarm.objects.all().delete()), []),
    ],
    ids=["edited", "set by hand", "disabled", "deleted"],
)
def test_an_alarm_that_is_changed_between_reading_and_writing_is_not_touched_and_tells_nothing(
    monkeypatch, action, states
):
    make_alarm(threshold_rule(), repeat_actions=True)
    put(91)
    with between_reading_and_writing(monkeypatch, action):
        assert evaluate_due(NOW).fired == 0
    assert list(Alarm.objects.values_list("state", flat=True)) == states
    assert AlarmChange.objects.count() == Delivery.objects.count() == 0


def test_an_edit_is_kept_whatever_is_decided_meanwhile(monkeypatch):
    make_alarm(threshold_rule())
    put(91)
    rule = threshold_rule(threshold=90)
    with between_reading_and_writing(monkeypatch, edit(rule=rule, name="renamed", description="new")):
        assert evaluate_due(NOW).fired == 1
    alarm = Alarm.objects.get()
    assert (alarm.rule, alarm.name, alarm.description, alarm.state) == (rule, "renamed", "new", "alarm")
