"""What polling.yaml says, and one polling cycle: discover once, run each pollster once, report what went wrong."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from metering.messages import SampleCheck

from .contract import Cycle, Discovery, DiscoveryFailed, Pollster, Problem, Sample
from .definition_files import Listing, Mistakes, read_definitions
from .definition_files import Mapping as FileMapping
from .globs import glob_problem, is_wanted

__all__ = ["Polled", "Source", "due_at", "load_sources", "poll_source", "unknown_meters"]

_KEYS = ("name", "interval", "meters", "queue", "discovery")
_QUEUES = ("compute", "central")


@dataclass(frozen=True)
class Source:
    """One entry of polling.yaml; ``line`` is where it stands there."""

    name: str
    interval_seconds: int
    meters: tuple[str, ...]
    queue: str = "compute"
    discovery: tuple[str, ...] = ()
    line: int = field(default=0, compare=False)

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
    """Read polling.yaml; ``interval_seconds`` overrides every interval. Raises BadDefinitions with all that is wrong."""
    document = read_definitions(path)
    mistakes = Mistakes(path)
    entries = document.get("sources") if isinstance(document, FileMapping) else None
    sources: list[Source] = []
    if not isinstance(entries, Listing) or not entries:
        mistakes.add(1, "expected a list under the key sources")
    else:
        for number, (entry, line) in enumerate(zip(entries, entries.lines, strict=True), 1):
            source = _read_source(entry, line, number, mistakes)
            if source and any(source.name == other.name for other in sources):
                mistakes.add(line, f"source name {source.name!r} is used twice")
            sources += [source] if source else []
    mistakes.raise_if_any()
    return [replace(source, interval_seconds=interval_seconds or source.interval_seconds) for source in sources]


def unknown_meters(sources: Iterable[Source], known: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Globs that no pollster's meter matches: the line of their source, and what is said of it."""
    for source in sources:
        for glob in source.meters:
            if not any(fnmatchcase(name, glob.removeprefix("!")) for name in known):
                yield source.line, f"source {source.name}: no meter is called {glob.removeprefix('!')!r}"


def _read_source(entry: Any, line: int, number: int, mistakes: Mistakes) -> Source | None:
    where = f"source {number}"
    if not isinstance(entry, FileMapping):
        mistakes.add(line, f"{where}: expected a mapping, not {entry!r:.80}")
        return None
    before = len(mistakes.found)
    for key in entry:
        if key not in _KEYS:
            mistakes.add(entry.line_of(key), f"{where}: unknown key {key!r}; known are {', '.join(_KEYS)}")
    name, interval, queue = entry.get("name"), entry.get("interval"), entry.get("queue", "compute")
    if not isinstance(name, str) or not name:
        mistakes.add(entry.line_of("name"), f"{where}: name {name!r:.80}: expected text")
    if not isinstance(interval, int) or isinstance(interval, bool) or interval < 1:
        text = f"{where}: interval {interval!r:.80}: expected whole seconds of at least 1"
        mistakes.add(entry.line_of("interval"), text)
    if queue not in _QUEUES:
        text = f"{where}: queue {queue!r:.80}: expected one of {', '.join(_QUEUES)}"
        mistakes.add(entry.line_of("queue"), text)
    meters = _texts(entry, "meters", where, mistakes)
    problem = glob_problem(meters)
    if problem:
        mistakes.add(entry.line_of("meters"), f"{where}: meters {problem}")
    discovery = _texts(entry, "discovery", where, mistakes) if "discovery" in entry else ()
    if len(mistakes.found) > before:
        return None
    return Source(name, interval, meters, queue, discovery, line)


def _texts(entry: FileMapping, key: str, where: str, mistakes: Mistakes) -> tuple[str, ...]:
    value = entry.get(key)
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item for item in value):
        mistakes.add(entry.line_of(key), f"{where}: {key} {value!r:.80}: expected a list of at least one text")
        return ()
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
