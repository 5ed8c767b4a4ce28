"""``manage.py simulate``: fill the store with the samples of a make-believe cloud, by the way that real ones come."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from celery import current_app
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.models import Sum
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from metering.collector.ingestion import Result, ingest
from metering.collector.tasks import COLLECT_TASK
from metering.housekeeping.locks import Job, holding
from metering.housekeeping.partitions import WEEK, ensure_weeks, week_of
from metering.messages import PrivateKey, SealedBatch, batch_id_at
from metering.models import Agent, AgentKey, Batch
from metering.simulation.fleet import Fleet, Plan
from metering.simulation.instances import SOURCE
from metering.simulation.sealing import seal_polls

__all__ = ["Command"]

# A key that simulates is good for this long: whoever finds it later can sign nothing with it.
_KEY_LIFE = timedelta(days=1)
_LOCK_SECONDS = 60.0
_QUIET_SECONDS = 120.0


class Command(BaseCommand):
    help = (
        "Simulate a cloud: projects with instances that start, resize, stop, migrate and go, with volumes, addresses, networks and "
        "images, busy by day. Its nodes sign batches that are taken in like real ones. The same seed over the same time gives the "
        "same samples, and none of them twice: what is in the store already is not stored again."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--nodes", type=_at_least(1), default=3, metavar="N", help="hypervisors (default 3)")
        parser.add_argument("--days", type=_at_least(1), default=7, metavar="D", help="days of samples (default 7)")
        parser.add_argument("--instances", type=_at_least(1), default=8, metavar="N", help="on each node (default 8)")
        parser.add_argument(
            "--interval", type=_at_least(1), default=300, metavar="SECONDS", help="between two polls (default 300)"
        )
        parser.add_argument("--seed", type=int, default=1, help="another seed is another cloud (default 1)")
        parser.add_argument("--until", type=_moment, metavar="TIME", help="end at this time (ISO, UTC; default now)")
        parser.add_argument(
            "--fast", action="store_true", help="many polls in one batch, and commits that do not wait for the disk"
        )
        parser.add_argument(
            "--once", action="store_true", help="do nothing when there is a simulation of that time already"
        )
        parser.add_argument(
            "--broker",
            action="store_true",
            help="send over the broker to the running collectors instead of storing here",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        plan = _plan(options, now=timezone.now())
        fleet = Fleet(plan)
        unit = f"{plan.name}{', fast' if options['fast'] else ''}"
        there = _find_simulation(fleet)
        if there and options["once"]:
            self.stdout.write(f"a simulation is in the store already: {there}")
            return
        if there not in (None, unit):
            raise CommandError(
                f"the store holds another simulation of that time: {there}; this one is {unit}. "
                "Its own options and --until repeat it; any other needs another time or another store."
            )
        _prepare_partitions(plan)
        if options["fast"]:
            with connection.cursor() as cursor:
                cursor.execute("SET synchronous_commit = off")
        deliver = _send if options["broker"] else _store
        started = time.monotonic()
        with _keys(fleet.agents, keep=options["broker"]) as keys:
            sealed = seal_polls(fleet.polls(), keys=keys, unit=unit, together=options["fast"])
            batches, samples, known = self._deliver(sealed, plan, deliver=deliver)
            if options["broker"]:
                _await_collectors(keys, batches - known)
        elapsed = time.monotonic() - started
        again = f"; {known:,} of {batches:,} batches were there already" if known else ""
        self.stdout.write(
            f"{samples:,} samples of {plan.nodes} nodes, {len(fleet.instances)} instances in {batches:,} signed batches: "
            f"{elapsed:.1f} s, {samples / elapsed:,.0f} samples/s{again}"
        )
        self.stdout.write(
            "Ask for instance, /v2/meters/vcpus/statistics?groupby=project_id&period=day&aggregate.func=integral (vCPU hours)"
        )

    def _deliver(
        self, batches: Iterator[SealedBatch], plan: Plan, *, deliver: Callable[[SealedBatch], None]
    ) -> tuple[int, int, int]:
        """How many batches and samples went, and how many batches were known already."""
        count = samples = known = 0
        with _progress(self.stderr) as progress:
            task = progress.add_task("simulating", total=plan.end - plan.start, samples=0)
            for sealed in batches:
                # Repeated under a new key it would be taken for another machine of the same name.
                if Batch.objects.filter(pk=sealed.header.id).exists():
                    known += 1
                else:
                    deliver(sealed)
                count += 1
                samples += sealed.header.count
                done = min(sealed.header.due // 1_000_000, plan.end) - plan.start
                progress.update(task, completed=max(done, progress.tasks[task].completed), samples=samples)
            progress.update(task, completed=plan.end - plan.start)
        return count, samples, known


def _at_least(minimum: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise ValueError
        return value

    number.__name__ = f"whole number of at least {minimum}"
    return number


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


_moment.__name__ = "time, such as 2026-11-22T12:00"


def _plan(options: dict[str, Any], *, now: datetime) -> Plan:
    until: datetime = options["until"] or now
    if until > now:
        raise CommandError(f"--until {until:%Y-%m-%dT%H:%M}: expected a time that is not in the future")
    interval = options["interval"]
    end = int(until.timestamp()) // interval * interval
    start = (end - options["days"] * 86_400) // interval * interval
    if start < settings.CELOMETER_FLOOR_DATE.timestamp():
        raise CommandError(
            f"--days {options['days']} before {until:%Y-%m-%d}: nothing is stored from before {settings.CELOMETER_FLOOR_DATE:%Y-%m-%d} "
            "(CELOMETER_FLOOR_DATE)"
        )
    return Plan(
        nodes=options["nodes"],
        instances_per_node=options["instances"],
        start=start,
        end=end,
        interval_seconds=interval,
        seed=options["seed"],
    )


def _find_simulation(fleet: Fleet) -> str | None:
    """What these agents have simulated of this time already: a second cloud on the same nodes would measure everything twice."""
    start, end = (batch_id_at(seconds * 1_000_000) for seconds in (fleet.plan.start, fleet.plan.end))
    there = Batch.objects.filter(id__gte=start, id__lt=end, key__agent__name__in=fleet.agents).order_by("id").first()
    return None if there is None else str(msgspec.json.decode(bytes(there.header))["unit"])


def _prepare_partitions(plan: Plan) -> None:
    """Make them all before the first sample, so that no batch is parked."""
    first = week_of(datetime.fromtimestamp(plan.start, UTC))
    weeks = range((datetime.fromtimestamp(plan.end, UTC) - first) // WEEK + 1)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        with holding(Job.PARTITIONS) as mine:
            if mine:
                ensure_weeks(first + number * WEEK for number in weeks)
                return
        if time.monotonic() > deadline:
            raise CommandError("housekeeping has been making partitions for a minute: try again")
        time.sleep(0.2)


@contextmanager
def _keys(agents: list[str], *, keep: bool) -> Iterator[dict[str, PrivateKey]]:
    """A new key for each agent; afterwards they end, at once or, with what waits in the broker, after a day."""
    keys = {name: PrivateKey.generate() for name in agents}
    now = timezone.now()
    for name, key in keys.items():
        agent, _ = Agent.objects.get_or_create(name=name, defaults={"description": "simulated"})
        if agent.description != "simulated":
            raise CommandError(f"agent {name!r} is enrolled and not a simulated one: nothing was done")
        AgentKey.objects.create(
            agent=agent,
            key_id=key.public.id,
            public_key=key.public.raw,
            valid_until=now + _KEY_LIFE,
            allowed_sources=[SOURCE],
        )
    try:
        yield keys
    finally:
        if not keep:
            AgentKey.objects.filter(key_id__in=[key.public.id for key in keys.values()]).update(
                valid_until=timezone.now()
            )


def _store(sealed: SealedBatch) -> None:
    outcome = ingest(sealed.to_bytes())
    if outcome.result is Result.STORED:
        return
    raise CommandError(f"a batch was {outcome.result}: {outcome.reason} {outcome.detail}".rstrip())


def _send(sealed: SealedBatch) -> None:
    current_app.send_task(
        COLLECT_TASK,
        args=(sealed.to_bytes(),),
        argsrepr="a signed batch",
        queue="collector",
        serializer="celometer-batch",
        ignore_result=True,
    )


def _await_collectors(keys: dict[str, PrivateKey], batches: int) -> None:
    """Return when all have been taken in; raise when nothing has happened for long."""
    ours = AgentKey.objects.filter(key_id__in=[key.public.id for key in keys.values()])
    done, changed_at = -1, time.monotonic()
    while done < batches:
        stored = Batch.objects.filter(key__in=ours.values("pk")).count()
        now_done = stored + (ours.aggregate(total=Sum("duplicate_count"))["total"] or 0)
        if now_done > done:
            done, changed_at = now_done, time.monotonic()
        elif time.monotonic() - changed_at > _QUIET_SECONDS:
            raise CommandError(
                f"{done:,} of {batches:,} batches were taken in, and none for {_QUIET_SECONDS:.0f} s: does a collector run? "
                "See also the quarantine."
            )
        time.sleep(0.2)


class _Rate(ProgressColumn):
    """Samples so far, and how many a second."""

    def render(self, task: Task) -> Text:
        samples, elapsed = task.fields["samples"], task.elapsed or 0.0
        rate = f", {samples / elapsed:,.0f}/s" if elapsed else ""
        return Text(f"{samples:,} samples{rate}")


def _progress(stream: Any) -> Progress:
    console = Console(file=stream)
    return Progress(
        TextColumn("{task.description}"), BarColumn(), _Rate(), TimeRemainingColumn(), console=console, transient=True
    )
