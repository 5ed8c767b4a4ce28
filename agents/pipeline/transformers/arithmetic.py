"""arithmetic: one sample out of several meters of a resource, ``100 * $(memory.usage) / $(memory)``.

Upstream stamps a result with the time of whatever sample came last, of any resource; keeps what is incomplete for ever, and mixes old
values with new ones. Here a result is made of samples of one moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agents.contract import Report, Sample
from agents.pipeline.exact import CalculationFailed, calculate
from agents.pipeline.expressions import BadExpression, Expression, compile_expression
from agents.pipeline.packing import pack_sample, unpack_sample

from .conversion import Conversion
from .parameters import Parameters

__all__ = ["Arithmetic"]

_MOMENT_MICROSECONDS = 10 * 1_000_000
_MOST_MOMENTS = 8

Moment = dict[str, Sample]


class Arithmetic:
    """Parameters ``target.expr`` and ``target.{name, unit, type}``; what is not given is that of the first meter in the expression.

    **A moment** are samples of one resource, one of each meter, at most ten seconds apart: the nearest, so those of one time first.
    Once all meters are there, the result goes on: at the time of the latest of them, with the resource of the first meter's sample. A
    sample is used once. Of a resource's incomplete moments the eight latest are kept. Meters that the expression does not name go no
    further.
    """

    keeps_state = True

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Raises BadParameters."""
        read = Parameters(parameters)
        self._conversion = Conversion(read, scales=False, maps=False)
        self._expression = _read_expression(read)
        read.finish()
        self._meters = self._expression.meters

    def transform(self, state: Any, samples: Sequence[Sample], report: Report) -> tuple[Any, list[Sample]]:
        """State: the incomplete moments, samples packed by meter."""
        moments: list[Moment] = [
            {meter: unpack_sample(data) for meter, data in moment.items()} for moment in state or ()
        ]
        results = []
        for sample in samples:
            if sample.meter.name not in self._meters:
                continue
            moment = _join(moments, sample)
            if len(moment) == len(self._meters):
                moments.remove(moment)
                results += self._result(moment, report)
        while len(moments) > _MOST_MOMENTS:
            oldest = min(moments, key=_time_of)
            moments.remove(oldest)
            missing = ", ".join(meter for meter in self._meters if meter not in oldest)
            report(
                "arithmetic",
                f"no result for {next(iter(oldest.values())).resource.id!r:.80}: no {missing} at that time",
            )
        return [{meter: pack_sample(s) for meter, s in moment.items()} for moment in moments] or None, results

    def due(self, state: Any) -> None:
        return None

    def flush(self, state: Any, now: int, report: Report) -> tuple[Any, list[Sample]]:
        return state, []

    def _result(self, moment: Moment, report: Report) -> list[Sample]:
        of_first = moment[self._meters[0]]
        try:
            volume = calculate(lambda: self._expression.evaluate(moment))
        except CalculationFailed as error:
            report("arithmetic", f"no result for {of_first.resource.id!r:.80}: {error}")
            return []
        return [Sample(self._conversion.meter(of_first.meter), of_first.resource, _time_of(moment), volume)]


def _read_expression(read: Parameters) -> Expression:
    text = read.text("target", "expr")
    problem = "expected an expression like '100 * $(memory.usage) / $(memory)'"
    try:
        expression = compile_expression(text or "0", of_meters=True)
        problem = "" if expression.meters else problem
    except BadExpression as error:
        expression, problem = compile_expression("0", of_meters=True), f"{text!r:.120}: {error}"
    if problem:
        read.refuse(("target", "expr"), problem)
    return expression


def _join(moments: list[Moment], sample: Sample) -> Moment:
    """The moment that the sample belongs to, with the sample in it."""
    fitting = [
        moment
        for moment in moments
        if sample.meter.name not in moment and _distance(moment, sample) <= _MOMENT_MICROSECONDS
    ]
    if fitting:
        # Of equally distant ones the earliest, so that the order of arrival does not matter.
        moment = min(fitting, key=lambda moment: (_distance(moment, sample), _time_of(moment)))
    else:
        moment = {}
        moments.append(moment)
    moment[sample.meter.name] = sample
    return moment


def _time_of(moment: Moment) -> int:
    return max(sample.timestamp for sample in moment.values())


def _distance(moment: Moment, sample: Sample) -> int:
    """To the sample of the moment that is farthest away (µs)."""
    return max(abs(other.timestamp - sample.timestamp) for other in moment.values())
