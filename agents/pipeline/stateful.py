"""Chains that remember, run over what Redis keeps: load → compute → commit, and again from the start where another worker was faster."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import NamedTuple

from agents.contract import Report, Sample

from .chain import Chain, Made, Output, States, resource_of
from .definition import Pipeline
from .packing import pack, unpack
from .records import OtherUnit, pack_output, unpack_output
from .state import Change, Loaded, StateAway, TransformState

__all__ = ["Job", "Released", "release_due", "run_jobs"]

_MOST_RESOURCES = 2_000  # of one commit: a few milliseconds in which the server serves nobody else
_TRIES_TOGETHER = 4
_TRIES_ALONE = 100
_LONGEST_WAIT_SECONDS = 0.02
_FLUSHED_TOGETHER = 200
_MOST_FLUSHED = 5_000  # of one pipeline in one call; the rest waits for the next
_MOST_RELEASED = 100

StateId = tuple[str, str]


class Job(NamedTuple):
    """One unit's samples on their way through one pipeline that remembers."""

    pipeline: Pipeline
    unit_key: str
    samples: Sequence[Sample]  # all of the unit
    measured: list[Made]  # those that the pipeline wants

    @property
    def record(self) -> str:
        """Under which id its output is recorded."""
        return _digest(self.pipeline.digest, self.unit_key)

    @property
    def resources(self) -> set[tuple[str, str]]:
        return {resource_of(made.sample) for made in self.measured}


class Released(NamedTuple):
    """What a flush set free; ``key`` is its own for ever, ``id`` is what ``TransformState.settle`` wants."""

    id: str
    pipeline_name: str
    key: str
    output: Output


def run_jobs(jobs: Sequence[Job], *, state: TransformState, report: Report) -> list[Output]:
    """What each job gives, in the same order; a job that was done within a day gives the same again. Raises StateAway."""
    outputs: list[Output] = []
    for part in _parts(jobs):
        outputs += _run_part(part, state, report)
    return outputs


def _parts(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    part: list[Job] = []
    count = 0
    for job in jobs:
        part.append(job)
        count += len(job.resources)
        if count >= _MOST_RESOURCES:
            yield part
            part, count = [], 0
    if part:
        yield part


def _run_part(jobs: list[Job], state: TransformState, report: Report) -> list[Output]:
    for attempt in range(_TRIES_TOGETHER if len(jobs) > 1 else _TRIES_ALONE):
        if attempt:
            time.sleep(random.uniform(0, _LONGEST_WAIT_SECONDS))
        outputs = _try(jobs, state, report)
        if outputs is not None:
            return outputs
    if len(jobs) == 1:
        raise StateAway(f"pipeline {jobs[0].pipeline.name!r}: others change the same states all the time")
    middle = len(jobs) // 2
    return _run_part(jobs[:middle], state, report) + _run_part(jobs[middle:], state, report)


def _try(jobs: list[Job], state: TransformState, report: Report) -> list[Output] | None:
    """The outputs, committed; None where another worker has changed a state meanwhile."""
    wanted = {(job.pipeline.digest, _digest(*resource)): None for job in jobs for resource in job.resources}
    loaded, records = state.load(list(wanted), [job.record for job in jobs])
    attempt = _Attempt(loaded, records)
    outputs = attempt.run(jobs)
    if attempt.records and not state.commit(attempt.changes(), records=attempt.records):
        return None
    for where, what in attempt.reports:
        report(where, what)
    return outputs


class _Attempt:
    """One computation from what was loaded; what it has to say is heard only once it is committed."""

    def __init__(self, loaded: dict[StateId, Loaded], done: dict[str, bytes]) -> None:
        self._loaded = loaded
        self._done = done
        self._chains: dict[str, Chain] = {}
        self._states: dict[StateId, States] = {}
        self.records: dict[str, bytes] = {}
        self.reports: list[tuple[str, str]] = []

    def run(self, jobs: list[Job]) -> list[Output]:
        outputs: dict[int, Output] = {}
        # Bundles may hold their units in any order: what was measured first goes first.
        for number in sorted(range(len(jobs)), key=lambda n: min(made.sample.timestamp for made in jobs[n].measured)):
            outputs[number] = self._run_job(jobs[number])
        return [outputs[number] for number in range(len(jobs))]

    def _run_job(self, job: Job) -> Output:
        if job.record in self._done:
            return self._again(job)
        digest = job.pipeline.digest
        chain = self._chains.setdefault(digest, Chain(job.pipeline, self._report))
        states = {resource: self._states_of((digest, _digest(*resource))) for resource in job.resources}
        output = chain.run(job.measured, states)
        self.records[job.record] = pack_output(output, job.samples)
        return output

    def _again(self, job: Job) -> Output:
        try:
            return unpack_output(self._done[job.record], job.samples)
        except OtherUnit:
            # As Nova's two formats of one action do: nothing that should fill a log with keys.
            text = "an input came again with other samples: what was derived the first time stands"
            self._report(job.pipeline.name, text)
            return Output([], [])

    def _states_of(self, id: StateId) -> States:
        if id not in self._states:
            self._states[id] = self._chains[id[0]].recall(self._loaded[id].value)
        return self._states[id]

    def changes(self) -> dict[StateId, Change]:
        return {id: _change(self._chains[id[0]], self._loaded[id], states) for id, states in self._states.items()}

    def _report(self, where: str, what: str) -> None:
        self.reports.append((where, what))


def release_due(pipelines: Sequence[Pipeline], *, now: int, state: TransformState, report: Report) -> list[Released]:
    """Flush what is due, and take what this and earlier flushes set free and nobody has settled. Raises StateAway.

    Whoever takes it delivers and settles it; where he dies before, it is offered again, with the same keys.
    """
    for pipeline in pipelines:
        due = state.find_due(pipeline.digest, now=now, limit=_MOST_FLUSHED)
        for first in range(0, len(due), _FLUSHED_TOGETHER):
            _flush(pipeline, due[first : first + _FLUSHED_TOGETHER], now, state, report)
    taken = state.take_released(now=now, limit=_MOST_RELEASED)
    released = []
    for id, data in taken.items():
        head, _, output = data.partition(b"\n")
        released.append(Released(id, *unpack(head), unpack_output(output, ())))
    return released


def _flush(pipeline: Pipeline, ids: list[StateId], now: int, state: TransformState, report: Report) -> None:
    """One commit and one release; in halves where others have changed something meanwhile. What is left the next call finds."""
    if _try_flush(pipeline, ids, now, state, report) or len(ids) == 1:
        return
    middle = len(ids) // 2
    _flush(pipeline, ids[:middle], now, state, report)
    _flush(pipeline, ids[middle:], now, state, report)


def _try_flush(pipeline: Pipeline, ids: list[StateId], now: int, state: TransformState, report: Report) -> bool:
    loaded, _ = state.load(ids, [])
    reports: list[tuple[str, str]] = []
    chain = Chain(pipeline, lambda where, what: reports.append((where, what)))
    changes, total = {}, Output([], [])
    for id in ids:
        states = chain.recall(loaded[id].value)
        for part, made in zip(total, chain.flush(states, now=now), strict=True):
            part.extend(made)
        changes[id] = _change(chain, loaded[id], states)
    released = {}
    if total.collector or total.outgoing:
        # State and stamp are one version of one state: nobody else ever releases from it.
        id = _digest(pipeline.digest, *(part for id in ids for part in (id[1], loaded[id].stamp.hex())))
        released[id] = pack([pipeline.name, f"flush:{id}"]) + b"\n" + pack_output(total, ())
    if not state.commit(changes, released=released, now=now):
        return False
    for where, what in reports:
        report(where, what)
    return True


def _change(chain: Chain, loaded: Loaded, states: States) -> Change:
    value, due = chain.remember(states)
    return Change(loaded.stamp, None if value == loaded.value else value, due)


def _digest(*parts: str) -> str:
    return blake2b("\0".join(parts).encode(errors="surrogatepass"), digest_size=16).hexdigest()
