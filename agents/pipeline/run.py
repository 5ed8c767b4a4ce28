"""Samples and events through the pipelines: what goes to the collector, and what to other publishers.

Input comes in units (a notification, a polled batch) with a key. However often a unit comes, and to whichever worker, it gives the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID, uuid5

from agents.contract import Event, Outgoing, Report, Sample

from .chain import DERIVED, Chain, Made, Output
from .definition import COLLECTOR, Pipeline, Pipelines
from .state import TransformState
from .stateful import Job, release_due, run_jobs

__all__ = ["Delivery", "EventDelivery", "Unit", "flush", "route_events", "run_samples", "settle"]

_NAMESPACE = UUID("8d0cbd25-7f4c-4b6e-9a0c-6b7de0a1c3f5")
_MAX_KEY = 255


class Unit(NamedTuple):
    """What one input gave. ``key`` is its origin key: samples made from it are stored once by it."""

    key: str
    samples: list[Sample]


class Delivery(NamedTuple):
    """Where samples go.

    ``collector``: measured ones under their unit's key, derived ones under ``key/pipeline name``, at most 255 characters. ``outgoing`` is
    by publisher URL; an ``Outgoing.id`` is a UUID derived from that key and the place within. ``released`` is what ``settle`` wants once
    all is delivered (a flush's only).
    """

    collector: list[Unit]
    outgoing: dict[str, list[Outgoing]]
    released: list[str]


class EventDelivery(NamedTuple):
    """Where events go; ``outgoing`` is by publisher URL."""

    collector: list[Event]
    outgoing: dict[str, list[Event]]


def run_samples(
    pipelines: Pipelines, units: Iterable[Unit], *, state: TransformState | None, polled: bool, report: Report
) -> Delivery:
    """Send each unit through all pipelines that want its meters. Raises StateAway: call again with the same units then.

    With ``polled`` the collector has the measured samples already, so it is given the derived ones only. A measured sample that
    comes out unchanged of several pipelines is delivered once to the collector, and once to each URL. ``state`` may be None
    where ``pipelines.needs_state`` is false.
    """
    units = list({unit.key: unit for unit in units}.values())
    jobs = [job for unit in units for job in _jobs_of(pipelines, unit)]
    lost = len(units) - len({job.unit_key for job in jobs})
    if lost:
        report("pipeline.yaml", f"{lost} of {len(units)} inputs go nowhere: no source wants any of their meters")
    outputs = _run_all(jobs, state, report)
    delivery = Delivery([], {}, [])
    taken: dict[str, list[tuple[Job, Output]]] = {unit.key: [] for unit in units}
    for job, output in zip(jobs, outputs, strict=True):
        taken[job.unit_key].append((job, output))
    for unit in units:
        _deliver_unit(unit, taken[unit.key], delivery, polled=polled)
    return delivery


def flush(pipelines: Pipelines, *, now: int, state: TransformState, report: Report) -> Delivery:
    """What transformers have held long enough at ``now`` (µs UTC); to be called about once a minute, by any number of workers.

    What a call returns it returns to nobody else for five minutes: deliver it, then ``settle`` it. Raises StateAway.
    """
    named = {pipeline.name: pipeline for pipeline in pipelines.samples}
    delivery = Delivery([], {}, [])
    stateful = [pipeline for pipeline in pipelines.samples if pipeline.keeps_state]
    for released in release_due(stateful, now=now, state=state, report=report):
        delivery.released.append(released.id)
        pipeline = named.get(released.pipeline_name)
        if pipeline is None:
            report(released.pipeline_name, "there is no such pipeline any more: what its transformers held is dropped")
        else:
            _deliver_output(pipeline, released.key, released.output, delivery, {})
    return delivery


def settle(delivery: Delivery, *, state: TransformState) -> None:
    """Forget what a flush gave: it has been delivered. Raises StateAway: then it will be offered again, and may be settled then."""
    state.settle(delivery.released)


def route_events(pipelines: Pipelines, events: Iterable[Event]) -> EventDelivery:
    """Send each event to every place that wants its type, once."""
    delivery = EventDelivery([], {})
    for event in events:
        urls = {url: None for pipeline in pipelines.for_event(event.type) for url in pipeline.publishers}
        for url in urls:
            if url == COLLECTOR:
                delivery.collector.append(event)
            else:
                delivery.outgoing.setdefault(url, []).append(event)
    return delivery


def _jobs_of(pipelines: Pipelines, unit: Unit) -> list[Job]:
    measured: dict[str, tuple[Pipeline, list[Made]]] = {}
    for position, sample in enumerate(unit.samples):
        for pipeline in pipelines.for_meter(sample.meter.name):
            measured.setdefault(pipeline.name, (pipeline, []))[1].append(Made(sample, position))
    return [Job(pipeline, unit.key, unit.samples, made) for pipeline, made in measured.values()]


def _run_all(jobs: Sequence[Job], state: TransformState | None, report: Report) -> list[Output]:
    outputs: dict[int, Output] = {}
    stateful = [number for number, job in enumerate(jobs) if job.pipeline.keeps_state]
    if stateful:
        if state is None:
            raise ValueError("a transformer keeps state: expected a TransformState")
        done = run_jobs([jobs[number] for number in stateful], state=state, report=report)
        outputs = dict(zip(stateful, done, strict=True))
    chains: dict[str, Chain] = {}
    for number, job in enumerate(jobs):
        if number in outputs:
            continue
        if job.pipeline.transformers:
            chain = chains.setdefault(job.pipeline.name, Chain(job.pipeline, report))
            outputs[number] = chain.run(job.measured, {})
        else:
            outputs[number] = Output(job.measured, job.measured)
    return [outputs[number] for number in range(len(jobs))]


def _deliver_unit(unit: Unit, outputs: list[tuple[Job, Output]], delivery: Delivery, *, polled: bool) -> None:
    collecting = [output.collector for job, output in outputs if COLLECTOR in job.pipeline.publishers]
    measured = sorted({made.position for part in collecting for made in part if made.position != DERIVED})
    if measured and not polled:
        delivery.collector.append(Unit(unit.key, [unit.samples[position] for position in measured]))
    sent: dict[str, set[int]] = {}
    for job, output in outputs:
        _deliver_output(job.pipeline, unit.key, output, delivery, sent)


def _deliver_output(
    pipeline: Pipeline, unit_key: str, output: Output, delivery: Delivery, sent: dict[str, set[int]]
) -> None:
    """What was derived, to all; and to others than the collector the measured samples too, each to each place once."""
    key = _derived_key(unit_key, pipeline.name)
    collector = [made.sample for made in output.collector if made.position == DERIVED]
    for url in pipeline.publishers:
        if url == COLLECTOR:
            if collector:
                delivery.collector.append(Unit(key, collector))
            continue
        places = sent.setdefault(url, set())
        for number, (sample, position) in enumerate(output.outgoing):
            if position not in places:
                id = _id_of(key, number) if position == DERIVED else _id_of(unit_key, position)
                delivery.outgoing.setdefault(url, []).append(Outgoing(id, sample))
        places.update(made.position for made in output.outgoing if made.position != DERIVED)


def _derived_key(unit_key: str, pipeline_name: str) -> str:
    key = f"{unit_key}/{pipeline_name}"
    return key if len(key) <= _MAX_KEY else f"{sha256(key.encode()).hexdigest()}/{pipeline_name[: _MAX_KEY - 65]}"


def _id_of(key: str, number: int) -> str:
    return str(uuid5(_NAMESPACE, f"{key}#{number}"))
