"""aggregator: many samples of one meter of one resource become one.

Upstream counts the samples of all meters and resources together, loses what it holds when a gauge is renamed, and divides by a count
that it looks up under the new name. Here every aggregate has its own count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from agents.contract import Meter, Report, Resource, Sample
from agents.pipeline.exact import CalculationFailed, calculate, calculate_part
from agents.pipeline.packing import pack, pack_resource, unpack_resource

from .conversion import Conversion
from .limits import LONGEST_HELD_MICROSECONDS, MOST_REMEMBERED
from .parameters import Parameters

__all__ = ["Aggregator"]

_MOST_SAMPLES = 1_000_000
_LONGEST_SECONDS = LONGEST_HELD_MICROSECONDS // 1_000_000


class Aggregator:
    """Deltas are added up, gauges averaged, of a cumulative meter the last value stays.

    An aggregate is closed when it holds ``size`` samples (1, unless a ``retention_time`` is given), or when its first sample is
    ``retention_time`` seconds old, or such a sample comes as is so much apart; after a week at the latest. Its time is that of the
    ``first`` (default) or ``last`` sample (``timestamp``), its metadata the ``last``'s (default), the ``first``'s, or none (``drop``).
    Samples of different users or projects go into aggregates of their own, unless ``user_id`` or ``project_id`` says whose stays.
    ``source`` and ``target`` as in ``Conversion``: each sample is scaled, the aggregate bounded.
    """

    keeps_state = True

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        """Raises BadParameters."""
        read = Parameters(parameters)
        self._conversion = Conversion(read)
        retention_seconds = read.whole("retention_time", least=1, most=_LONGEST_SECONDS)
        size = read.whole("size", least=1, most=_MOST_SAMPLES)
        self._size = size or (_MOST_SAMPLES if retention_seconds else 1)
        self._timestamp = read.choice("timestamp", options=("first", "last")) or "first"
        self._user = read.choice("user_id", options=("first", "last"))
        self._project = read.choice("project_id", options=("first", "last"))
        self._metadata = read.choice("resource_metadata", options=("first", "last", "drop")) or "last"
        read.finish()
        self._longest_held = (retention_seconds or _LONGEST_SECONDS) * 1_000_000
        self._needs_first = "first" in (self._user, self._project, self._metadata)

    def transform(self, state: Any, samples: Sequence[Sample], report: Report) -> tuple[Any, list[Sample]]:
        """State: the open aggregates, by what belongs into them."""
        open_ = _unpack(state)
        closed: list[Sample] = []
        for sample in samples:
            if not self._conversion.concerns(sample):
                closed.append(sample)
                continue
            key = self._key(sample)
            if key in open_ and self._is_apart(open_[key], sample):
                closed += self._close(open_.pop(key), report)
            try:
                open_[key] = self._add(open_.get(key), sample)
            except CalculationFailed as error:
                report(
                    "aggregator", f"a sample of {sample.meter.name} of {sample.resource.id!r:.80} is left out: {error}"
                )
                continue
            if open_[key].count >= self._size:
                closed += self._close(open_.pop(key), report)
            elif len(open_) > MOST_REMEMBERED:
                oldest = min(open_, key=lambda key: open_[key].first_at)
                text = (
                    f"{sample.resource.id!r:.80} has more than {MOST_REMEMBERED} open aggregates: the oldest is closed"
                )
                report("aggregator", text)
                closed += self._close(open_.pop(oldest), report)
        return _pack(open_), closed

    def due(self, state: Any) -> int | None:
        return min(aggregate.first_at for aggregate in _unpack(state).values()) + self._longest_held

    def flush(self, state: Any, now: int, report: Report) -> tuple[Any, list[Sample]]:
        open_, closed = {}, []
        for key, aggregate in _unpack(state).items():
            if aggregate.first_at + self._longest_held <= now:
                closed += self._close(aggregate, report)
            else:
                open_[key] = aggregate
        return _pack(open_), closed

    def _key(self, sample: Sample) -> str:
        meter, resource = sample.meter, sample.resource
        user = None if self._user else resource.user
        project = None if self._project else resource.project
        return pack([meter.name, meter.type, meter.unit, user, project]).decode()

    def _is_apart(self, aggregate: _Aggregate, sample: Sample) -> bool:
        """Whether the sample lies outside of the time of one aggregate, however late it is looked at."""
        first_at, last_at = min(aggregate.first_at, sample.timestamp), max(aggregate.last_at, sample.timestamp)
        return last_at - first_at >= self._longest_held

    def _add(self, aggregate: _Aggregate | None, sample: Sample) -> _Aggregate:
        """The aggregate with the sample; by their times, whatever order they come in."""
        meter, resource, at, _ = sample
        scaled = calculate_part(lambda: self._conversion.scaled(sample))
        if aggregate is None:
            return _Aggregate(at, at, 1, scaled, meter, resource if self._needs_first else None, resource)
        is_last = at >= aggregate.last_at
        if meter.type == "cumulative":
            volume = scaled if is_last else aggregate.volume
        else:
            volume = calculate_part(lambda: Decimal(aggregate.volume) + Decimal(scaled))
        first = resource if self._needs_first and at < aggregate.first_at else aggregate.first
        last = resource if is_last else aggregate.last
        first_at, last_at = min(at, aggregate.first_at), max(at, aggregate.last_at)
        return _Aggregate(first_at, last_at, aggregate.count + 1, volume, meter, first, last)

    def _close(self, aggregate: _Aggregate, report: Report) -> list[Sample]:
        count = aggregate.count if aggregate.meter.type == "gauge" else 1
        try:
            volume = calculate(lambda: self._conversion.bounded(Decimal(aggregate.volume) / count))
        except CalculationFailed as error:
            report("aggregator", f"no {aggregate.meter.name} of {aggregate.last.id!r:.80}: {error}")
            return []
        timestamp = aggregate.first_at if self._timestamp == "first" else aggregate.last_at
        return [Sample(self._conversion.meter(aggregate.meter), self._merged(aggregate), timestamp, volume)]

    def _merged(self, aggregate: _Aggregate) -> Resource:
        last, first = aggregate.last, aggregate.first or aggregate.last
        user = first.user if self._user == "first" else last.user
        project = first.project if self._project == "first" else last.project
        metadata = {"first": first.metadata, "last": last.metadata, "drop": {}}[self._metadata]
        for resource in (last, first):  # the very object where it may be: it is kept and sent once
            if (user, project, metadata) == (resource.user, resource.project, resource.metadata):
                return resource
        return Resource(last.id, last.source, project, user, metadata)


class _Aggregate(NamedTuple):
    """An open aggregate; times in µs UTC, ``volume`` the sum or the last value, ``first`` None where nothing is taken from it."""

    first_at: int
    last_at: int
    count: int
    volume: str
    meter: Meter
    first: Resource | None
    last: Resource


def _pack(open_: Mapping[str, _Aggregate]) -> Any:
    packed = {}
    for key, (*numbers, meter, first, last) in open_.items():
        packed[key] = [
            *numbers,
            [meter.name, meter.type, meter.unit],
            first and pack_resource(first),
            pack_resource(last),
        ]
    return packed or None


def _unpack(state: Any) -> dict[str, _Aggregate]:
    unpacked = {}
    for key, (*numbers, meter, first, last) in (state or {}).items():
        resources = (first and unpack_resource(first), unpack_resource(last))
        unpacked[key] = _Aggregate(*numbers, Meter(*meter), *resources)
    return unpacked
