"""All that a plugin author imports: what a discovery finds, what a pollster reads, what a publisher is given, and what they may raise.

A **discovery** finds targets and reads them in bulk, once per polling cycle. A **pollster** turns those
targets into samples of one meter. Both are plain objects without I/O of their own state: the cycle calls
``discover`` once and then every pollster over all targets found.

What a pollster SHALL do: leave a sample out when its value is not known (a failed measurement is a gap, never
a zero); raise only for faults that concern all targets. What it MAY do: yield any number of samples per target.

A **transformer** is one step of a sink in pipeline.yaml: samples in, samples out. It is pure: what it must remember it returns, and is
given again.

A **publisher** sends samples and events to one place outside. It is made once for each URL that a pipeline names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Protocol

from metering.messages import Event, Meter, Resource, Sample, volume_text

__all__ = [
    "BadParameters",
    "Cycle",
    "Discovery",
    "DiscoveryFailed",
    "Event",
    "Meter",
    "Outgoing",
    "Pollster",
    "Problem",
    "Publisher",
    "PublisherState",
    "Report",
    "Resource",
    "Sample",
    "Transformer",
    "volume_text",
]


class DiscoveryFailed(Exception):
    """Nothing could be found out this time (service away): a gap for all its pollsters, tried again next cycle."""


@dataclass(frozen=True)
class Problem:
    """Something that went wrong in a cycle without stopping it; shown by ``manage.py poll`` and logged."""

    where: str
    what: str


@dataclass
class Cycle:
    """One polling cycle of one source: its instant, the node it runs on, and the problems met on the way.

    ``timestamp`` (µs UTC) is the time of measurement that samples carry unless the target knows a better one.
    """

    node: str
    timestamp: int
    problems: list[Problem] = field(default_factory=list)

    def report(self, where: str, what: str) -> None:
        """Record a problem with one target; the cycle goes on."""
        self.problems.append(Problem(where=str(where), what=str(what)))


class Discovery(Protocol):
    """Finds what can be read. ``name`` is what polling.yaml and pollsters refer to."""

    name: ClassVar[str]

    def discover(self, cycle: Cycle) -> Sequence[Any]:
        """Return the targets, read in bulk. Raises DiscoveryFailed when nothing is known (not the same as none)."""
        ...


class Pollster(Protocol):
    """Reads one meter from targets that its discovery found. Its name is the meter's."""

    discovery: ClassVar[str]

    @property
    def name(self) -> str: ...  # a class attribute will do as well

    def samples(self, targets: Sequence[Any], cycle: Cycle) -> Iterable[Sample]:
        """Yield the samples of all targets; a target without a value yields nothing."""
        ...


Report = Callable[[str, str], None]
"""Where something went wrong without stopping anything, and what."""


class BadParameters(Exception):
    """A transformer cannot be made; ``problems`` are (path to the parameter, what is wrong with it): ``(("target", "scale"), "…")``."""

    def __init__(self, problems: Sequence[tuple[tuple[str, ...], str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(path)}: {text}" if path else text for path, text in problems))
        self.problems = list(problems)


class Transformer(Protocol):
    """One step of a sink, made from its ``parameters`` in the file, a mapping: ``Transformer(parameters)``, which raises BadParameters.

    A transformer with ``keeps_state`` is called for one resource (source and id) at a time, with the state that it returned for that
    resource the last time, ``None`` at first. A state is plain data (lists, dicts with text as keys, text, numbers, None), small and
    bounded; the transformer may change the one it is given. It is forgotten eight days after it last changed. Others are called with
    samples of many resources and ``None``.

    A sample that is returned as the very object that came in counts as measured; any other is derived. A derived sample keeps its resource.
    """

    @property
    def keeps_state(self) -> bool: ...  # an attribute will do as well

    def transform(self, state: Any, samples: Sequence[Sample], report: Report) -> tuple[Any, list[Sample]]:
        """The new state, and the samples that go on. Samples come in the order of time, but later calls may bring earlier ones."""
        ...

    def due(self, state: Any) -> int | None:
        """When ``flush`` has something to release from this state (µs UTC), None for never."""
        ...

    def flush(self, state: Any, now: int, report: Report) -> tuple[Any, list[Sample]]:
        """The new state, and what was held until now (µs UTC) and goes on."""
        ...


class Outgoing(NamedTuple):
    """A sample on its way out; ``id`` stays the same however often it is sent, so that a receiver can tell a repetition."""

    id: str
    sample: Sample


class PublisherState(NamedTuple):
    """What became of what a publisher was given, counted in samples and events; ``error`` is "" while sending succeeds."""

    sent: int
    waiting: int
    dropped: int
    error: str


class Publisher(Protocol):
    """Sends to one place. Whatever happens there, ``publish_…`` returns at once and never raises: a place that is away fills a bounded
    buffer, and what no longer fits is dropped, counted and told in the log.
    """

    schemes: ClassVar[tuple[str, ...]]

    def publish_samples(self, samples: Sequence[Outgoing]) -> None: ...

    def publish_events(self, events: Sequence[Event]) -> None: ...

    def state(self) -> PublisherState: ...

    def close(self, timeout_seconds: float) -> None:
        """Send what waits, for at most so long; what is left then is dropped and counted."""
        ...
