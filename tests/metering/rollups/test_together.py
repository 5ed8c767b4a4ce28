"""Several collectors, several housekeepers and two rebuilds at work at once: whoever asks meanwhile gets what the samples alone give.

One snapshot holds both: the samples are read and the question is asked in one REPEATABLE READ transaction, and compared by brute force.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import cycle
from uuid import UUID

import pytest
from django.db import connection
from django.db.models import Count
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.collector.ingestion import Result, ingest
from metering.housekeeping.partitions import ensure_weeks, week_of
from metering.housekeeping.rebuild import rebuild
from metering.housekeeping.rolling import keep_rollups
from metering.models import Batch, RollupDayMark, RollupHour, RollupMark, Sample
from metering.rollups.arithmetic import Reading
from metering.rollups.recompute import snapshot
from tests.support.agents import EnrolledAgent

from .reference import EPOCH, Stored
from .stories import AFTERWARDS, BASE, PHASES, compare, empty, questions, samples

COLLECTORS = 3
_SAMPLES = """
SELECT s.timestamp, s.id, s.volume, m.name, m.unit, r.resource_id, r.source, r.project_id, r.user_id, st.metadata::text
FROM metering_sample s JOIN metering_meter m ON m.id = s.meter_id JOIN metering_resource r ON r.id = s.resource_id
JOIN metering_resourcestate st ON st.id = s.state_id
"""
batches = st.lists(st.lists(samples, min_size=1, max_size=12), min_size=4, max_size=12)


@pytest.fixture
def rolling_store(store) -> Iterator[None]:
    ensure_weeks({week_of(BASE + timedelta(days=days)) for days in (-22, -20, 0, 5)})
    yield


def test_whoever_asks_while_all_are_at_work_gets_what_the_samples_give(rolling_store):
    """Real commits, so every example empties the tables itself."""
    asked_meanwhile = 0

    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
    @given(
        sent=st.lists(batches, min_size=COLLECTORS, max_size=COLLECTORS),
        asked=st.lists(questions, min_size=8, max_size=8),
    )
    def tell(sent, asked):
        nonlocal asked_meanwhile
        empty()
        Batch.objects.all().delete()
        crew = Crew()
        collectors = [crew.start(collect, number, batches_) for number, batches_ in enumerate(sent)]
        for work in (keep, keep, rebuild_again, rebuild_again):
            crew.start(repeat, work, crew.done)
        ask = crew.start(repeat, next_question(asked), crew.done)
        for thread in collectors:
            thread.join()
        crew.finish()
        asked_meanwhile += ask.rounds
        wanted = sum(len(rows) for batches_ in sent for rows in batches_)
        assert Sample.objects.aggregate(all=Count("id"), different=Count("id", distinct=True)) == {
            "all": wanted,
            "different": wanted,
        }
        while RollupMark.objects.exists() or RollupDayMark.objects.exists():
            keep()
        assert RollupHour.objects.exists()
        for question in asked:
            compare_in_one_snapshot(question)

    tell()
    assert asked_meanwhile > 30


class Crew:
    """Threads, each with a connection of its own. The first fault of any is raised at the end."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.faults: list[BaseException] = []
        self.threads: list[Worker] = []

    def start(self, work: Callable[..., int], *arguments: object) -> Worker:
        self.threads.append(Worker(self, work, arguments))
        self.threads[-1].start()
        return self.threads[-1]

    def finish(self) -> None:
        self.done.set()
        for thread in self.threads:
            thread.join()
        if self.faults:
            raise self.faults[0]


class Worker(threading.Thread):
    def __init__(self, crew: Crew, work: Callable[..., int], arguments: tuple[object, ...]) -> None:
        super().__init__()
        self.crew, self.work, self.arguments, self.rounds = crew, work, arguments, 0

    def run(self) -> None:
        try:
            self.rounds = self.work(*self.arguments)
        except BaseException as error:
            self.crew.faults.append(error)
            self.crew.done.set()
        finally:
            connection.close()


def collect(number: int, batches_: list) -> int:
    agent = EnrolledAgent(f"node-{number}-{datetime.now(UTC).timestamp()}")
    for rows in batches_:
        message = agent.message(rows)
        assert ingest(message).result == Result.STORED
        assert ingest(message).result == Result.DUPLICATE
    return len(batches_)


def repeat(work: Callable[[], None], done: threading.Event) -> int:
    """Work at least once, then until the others are done; how often that was."""
    rounds = 1
    work()
    while not done.is_set():
        work()
        rounds += 1
    return rounds


def keep() -> None:
    keep_rollups(AFTERWARDS, seconds=0.2)


def rebuild_again() -> None:
    for _, problem in rebuild():
        assert not problem


def next_question(asked: list) -> Callable[[], None]:
    left = cycle(asked)
    return lambda: compare_in_one_snapshot(next(left))


def compare_in_one_snapshot(question: tuple) -> None:
    with snapshot() as cursor:
        cursor.execute(_SAMPLES)
        stored = [stored_of(row) for row in cursor.fetchall()]
        compare(question, stored)


def stored_of(row: tuple) -> Stored:
    timestamp, sample, volume, meter, unit, resource, source, project, user, metadata = row
    moment = (timestamp - EPOCH) // timedelta(microseconds=1)
    reading = Reading(moment, UUID(str(sample)).int, volume)
    return Stored(reading, meter, unit, resource, source, project, user, json.loads(metadata))
