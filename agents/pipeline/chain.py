"""One pipeline's transformers over the samples of one unit: pure.

The collector does not wait for an accumulator at the end of a chain: it gets what goes into it, the other publishers what comes out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from agents.contract import Report, Sample, Transformer
from metering.messages import SampleCheck

from .definition import Pipeline
from .packing import pack, unpack
from .transformers.accumulator import Accumulator

__all__ = ["DERIVED", "Chain", "Made", "Output", "States", "resource_of"]

DERIVED = -1

States = list[Any]
"""What each transformer of a chain remembers of one resource."""


class Made(NamedTuple):
    """A sample that came out; ``position`` is its place in the unit where it is a measured one, else ``DERIVED``."""

    sample: Sample
    position: int


class Output(NamedTuple):
    """What came out for the collector, and for the other publishers."""

    collector: list[Made]
    outgoing: list[Made]


def resource_of(sample: Sample) -> tuple[str, str]:
    """What states are kept by."""
    return sample.resource.source, sample.resource.id


class Chain:
    """The transformers of one pipeline; what goes wrong in them is reported, and stops neither the others nor the next samples."""

    def __init__(self, pipeline: Pipeline, report: Report) -> None:
        self._transformers = pipeline.transformers
        self._keeps_state = pipeline.keeps_state
        self._report: Report = lambda where, what: report(pipeline.name, f"{where}: {what}")
        self._check = SampleCheck()
        self._collector_step = _end_of_changes(pipeline.transformers)

    def run(self, measured: Sequence[Made], states: Mapping[tuple[str, str], States]) -> Output:
        """Send samples of one unit through, in the order of time. ``states`` has an entry for each resource, which is changed."""
        ordered = sorted(measured, key=lambda made: (made.sample.timestamp, made.position))
        positions = {id(made.sample): made.position for made in measured}
        samples = [made.sample for made in ordered]
        output = Output([], [])
        if not self._keeps_state:
            self._send(samples, [None] * len(self._transformers), output, positions=positions)
            return output
        groups: dict[tuple[str, str], list[Sample]] = {}
        for sample in samples:
            groups.setdefault(resource_of(sample), []).append(sample)
        for resource, group in groups.items():
            self._send(group, states[resource], output, positions=positions)
        return output

    def remember(self, states: States) -> tuple[bytes, int]:
        """The states as bytes, b"" where there is nothing to remember, and when they want to be flushed (µs UTC, 0 for never)."""
        both = [both for both in zip(self._transformers, states, strict=True) if both[1] is not None]
        if not both:
            return b"", 0
        try:
            dues = [transformer.due(state) for transformer, state in both]
            return pack(states), min((due for due in dues if due is not None), default=0)
        except Exception as error:  # a plugin's state that is no plain data
            self._report("state", f"{type(error).__name__}: {error}")
            return b"", 0

    def recall(self, remembered: bytes) -> States:
        """The states again."""
        return unpack(remembered) if remembered else [None] * len(self._transformers)

    def flush(self, states: States, *, now: int) -> Output:
        """Release what has been held long enough; what a transformer releases goes through those behind it."""
        output = Output([], [])
        for step, transformer in enumerate(self._transformers):
            if states[step] is None:
                continue
            samples = self._step(step, states, lambda state, step=transformer: step.flush(state, now, self._report))
            if samples:
                self._send(samples, states, output, first_step=step + 1)
        return output

    def _send(
        self,
        samples: list[Sample],
        states: States,
        output: Output,
        *,
        first_step: int = 0,
        positions: Mapping[int, int] = {},
    ) -> None:
        for step in range(first_step, len(self._transformers)):
            if step == self._collector_step:
                output.collector.extend(self._made(samples, positions))
            transform = self._transformers[step].transform
            samples = self._step(
                step, states, lambda state, given=samples, do=transform: do(state, given, self._report)
            )
        made = self._made(samples, positions)
        if self._collector_step == len(self._transformers):
            output.collector.extend(made)
        output.outgoing.extend(made)

    def _step(self, step: int, states: States, work: Callable[[Any], tuple[Any, list[Sample]]]) -> list[Sample]:
        """What the transformer gives. A plugin's fault must stop nobody else; what it remembered may be half changed, so it begins anew."""
        try:
            states[step], samples = work(states[step])
            if not all(isinstance(sample, Sample) for sample in samples):
                raise TypeError("it gave something that is no sample")
        except Exception as error:
            self._report(type(self._transformers[step]).__name__, f"{type(error).__name__}: {error}")
            states[step], samples = None, []
        return list(samples)

    def _made(self, samples: Sequence[Sample], positions: Mapping[int, int]) -> list[Made]:
        made = []
        for sample in samples:
            position = positions.get(id(sample), DERIVED)
            problem = "" if position != DERIVED else self._check.problem_with(sample)
            if problem:
                self._report(
                    sample.meter.name, f"a derived sample of {sample.resource.id!r:.80} is left out: {problem}"
                )
            else:
                made.append(Made(sample, position))
        return made


def _end_of_changes(transformers: Sequence[Transformer]) -> int:
    """Where the accumulators at the end begin."""
    end = len(transformers)
    while end and isinstance(transformers[end - 1], Accumulator):
        end -= 1
    return end
