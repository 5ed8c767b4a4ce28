"""What polling.yaml says, and one polling cycle: discover once, run each pollster once, report what went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from metering.messages import SampleCheck

from .contract import Cycle, Discovery, DiscoveryFailed, Pollster, Problem, Sample
from .globs import glob_problem, is_wanted

__all__ = ["BadPollingFile", "Polled", "Source", "due_at", "load_sources", "poll_source"]

_QUEUES = ("compute", "central")


class BadPollingFile(Exception):
    """polling.yaml cannot be used; the text names the file, the value and what was expected."""


@dataclass(frozen=True)
class Source:
    """One entry of polling.yaml."""

    name: str
    interval_seconds: int
    meters: tuple[str, ...]
    queue: str = "compute"
    discovery: tuple[str, ...] = ()

    def wants(self, pollster: Pollster) -> bool:
        """Whether the meter globs (``agents.globs``) select this pollster."""
        return is_wanted(pollster.name, self.meters) and (not self.discovery or pollster.discovery in self.discovery)


@dataclass(frozen=True)
class Polled:
    """What one cycle gave: samples in the order of the pollsters, and what went wrong on the way."""

    samples: list[Sample]
    problems: list[Problem]


def due_at(now_seconds: float, *, interval_seconds: int) -> int:
    """The due time (µs UTC) that ``now`` belongs to: due times lie on the grid of the interval's multiples."""
    return int(now_seconds // interval_seconds) * interval_seconds * 1_000_000


def load_sources(path: Path, *, interval_seconds: int | None = None) -> list[Source]:
    """Read polling.yaml; ``interval_seconds`` overrides every interval. Raises BadPollingFile."""
    try:
        document = yaml.safe_load(path.read_text())
    except OSError as error:
        raise BadPollingFile(f"{path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise BadPollingFile(f"{path}: not YAML: {error}") from error
    entries = document.get("sources") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not entries:
        raise BadPollingFile(f"{path}: expected a list under the key sources")
    sources = [_read_source(entry, where=f"{path}: source {number}") for number, entry in enumerate(entries, 1)]
    names = [source.name for source in sources]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise BadPollingFile(f"{path}: source name {repeated[0]!r} is used twice")
    if interval_seconds:
        return [Source(s.name, interval_seconds, s.meters, s.queue, s.discovery) for s in sources]
    return sources


def _read_source(entry: Any, *, where: str) -> Source:
    if not isinstance(entry, dict):
        raise BadPollingFile(f"{where}: expected a mapping, not {entry!r}")
    unknown = sorted(set(entry) - {"name", "interval", "meters", "queue", "discovery"})
    if unknown:
        raise BadPollingFile(f"{where}: unknown key {unknown[0]!r}; known are name, interval, meters, queue, discovery")
    name, interval, queue = entry.get("name"), entry.get("interval"), entry.get("queue", "compute")
    if not isinstance(name, str) or not name:
        raise BadPollingFile(f"{where}: name {name!r}: expected text")
    if not isinstance(interval, int) or isinstance(interval, bool) or interval < 1:
        raise BadPollingFile(f"{where}: interval {interval!r}: expected whole seconds of at least 1")
    if queue not in _QUEUES:
        raise BadPollingFile(f"{where}: queue {queue!r}: expected one of {', '.join(_QUEUES)}")
    meters = _texts(entry.get("meters"), where=f"{where}: meters")
    problem = glob_problem(meters)
    if problem:
        raise BadPollingFile(f"{where}: meters {problem}")
    discovery = _texts(entry["discovery"], where=f"{where}: discovery") if "discovery" in entry else ()
    return Source(name, interval, meters, queue, discovery)


def _texts(value: Any, *, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        raise BadPollingFile(f"{where} {value!r}: expected a list of at least one text")
    return tuple(value)


def poll_source(
    source: Source, *, discoveries: Mapping[str, Discovery], pollsters: Iterable[Pollster], node: str
) -> Polled:
    """Run one cycle. What fails is reported and stops nothing else; a failed measurement is a gap."""
    cycle = Cycle(node=node, timestamp=time.time_ns() // 1000)
    chosen = [pollster for pollster in pollsters if source.wants(pollster)]
    targets: dict[str, Sequence[Any]] = {}
    for name in dict.fromkeys(pollster.discovery for pollster in chosen):
        try:
            targets[name] = discoveries[name].discover(cycle)
        except DiscoveryFailed as error:
            cycle.report(name, str(error))
        except Exception as error:  # a plugin's fault must not stop the others
            cycle.report(name, f"{type(error).__name__}: {error}")
    samples: list[Sample] = []
    check = SampleCheck()
    for pollster in chosen:
        if pollster.discovery not in targets:
            continue
        try:
            for sample in pollster.samples(targets[pollster.discovery], cycle):
                problem = check.problem_with(sample)
                if problem:
                    cycle.report(pollster.name, f"a sample of {sample.resource.id!r:.80} is left out: {problem}")
                else:
                    samples.append(sample)
        except Exception as error:  # what it gave before stays
            cycle.report(pollster.name, f"{type(error).__name__}: {error}")
    return Polled(samples, cycle.problems)
