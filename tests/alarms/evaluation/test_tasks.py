"""Evaluators as processes: started as the Procfile says, woken by events, killed at work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta

import pytest
from django.utils import timezone

from alarms.evaluation.claims import CLAIM_SECONDS
from alarms.evaluation.cycle import evaluate_due
from alarms.evaluation.tasks import evaluate, look_at_events
from alarms.models import Alarm, AlarmChange, Delivery, EventCursor, Schedule
from config.clock import housekeeping_schedule
from tests.alarms.evaluation.test_events import event_rule
from tests.alarms.making import make_alarm, threshold_rule
from tests.support.events import store_event
from tests.support.roles import wait_until
from tests.support.samples import make_sample, store_samples
from tests.support.stacks import current_database_url

# Evaluates as the task does, and stops for good where it is about to write.
_STUCK = """
import config.celery, django, sys, time
django.setup()
from django.utils import timezone
from alarms.evaluation import cycle, writing
def stuck(*_):
    print("about to commit", flush=True)
    time.sleep(600)
writing.deliveries.plan = stuck
cycle.evaluate_due(timezone.now())
"""


def environment(stage, **more):
    return stage.environment(
        CELOMETER_SETTINGS="server",
        CELOMETER_DATABASE_URL=current_database_url(),
        CELOMETER_BROKER_URL=os.environ["CELOMETER_BROKER_URL"],
        **more,
    )


@pytest.fixture
def evaluator(stage, store):
    """Two workers on the queue of alarms."""
    roles = [stage.worker("alarms", name=f"alarms-{n}", environment=environment(stage)).start() for n in range(2)]
    for role in roles:
        role.await_ready()
    return roles


def samples(*volumes):
    now = timezone.now()
    store_samples(
        [make_sample(timestamp=now - timedelta(seconds=20 + 60 * n), volume=v) for n, v in enumerate(volumes)], now=now
    )


def test_workers_evaluate_what_is_due_and_share_it(evaluator):
    for _ in range(40):
        make_alarm(threshold_rule())
    samples(91, 91)
    for _ in range(4):
        evaluate.apply_async(queue="alarms")
    wait_until(lambda: AlarmChange.objects.count() == 40, what="all alarms are told of")
    for _ in range(4):
        evaluate.apply_async(queue="alarms")
    assert Alarm.objects.filter(state="alarm").count() == Delivery.objects.count() == 40


def test_an_event_wakes_an_evaluator(evaluator):
    look_at_events.apply_async(queue="alarms")
    wait_until(lambda: EventCursor.objects.exclude(position={}).exists(), what="the first look")
    make_alarm(event_rule("compute.*"), type="event")
    # Nobody ticks here: it is the collector that asks.
    store_event(type="compute.instance.create.end")
    wait_until(lambda: Alarm.objects.get().state == "alarm", what="the event is an alarm")
    assert Delivery.objects.count() == 1


def test_the_clock_has_alarms_evaluated(stage, store):
    make_alarm(threshold_rule())
    samples(91, 91)
    often = environment(stage, CELOMETER_EVALUATION_INTERVAL="2")
    stage.worker("alarms", environment=often).start().await_ready()
    clock = stage.role(
        "clock", *("celery", "-A", "config", "beat", "--schedule", str(stage.directory / "clock")), environment=often
    )
    clock.start()
    wait_until(lambda: Alarm.objects.get().state == "alarm", what="a cycle")
    first = Schedule.objects.get().evaluated_at
    wait_until(lambda: Schedule.objects.get().evaluated_at > first, what="another cycle")
    assert Delivery.objects.count() == 1


def test_an_evaluator_that_is_killed_before_its_commit_leaves_no_trace_and_loses_nothing(stage, store):
    make_alarm(threshold_rule())
    samples(91, 91)
    process = subprocess.Popen(
        [sys.executable, "-c", _STUCK],
        env=environment(stage),
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert process.stdout.readline() == "about to commit\n"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(30)
    claim_ends = Schedule.objects.get().claimed_until
    assert claim_ends is not None
    assert (Alarm.objects.get().state, AlarmChange.objects.count()) == ("insufficient data", 0)
    assert evaluate_due(claim_ends - timedelta(seconds=1)).alarms == 0
    assert evaluate_due(claim_ends).fired == 1
    assert Alarm.objects.get().state == "alarm"
    assert AlarmChange.objects.count() == Delivery.objects.count() == 1


def test_the_clock_ticks_for_alarms_each_interval(settings):
    settings.CELOMETER_EVALUATION_INTERVAL = 7
    tick = housekeeping_schedule()["alarms"]
    assert (tick["task"], tick["schedule"].interval_seconds, tick["options"]["queue"]) == (
        "alarms.evaluate",
        7,
        "alarms",
    )
    # A claim ends before the next cycle of the usual length.
    assert CLAIM_SECONDS < 60
