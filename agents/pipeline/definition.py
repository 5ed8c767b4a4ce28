"""pipeline.yaml and event_pipeline.yaml: which samples and events go through which sink, in Ceilometer's grammar.

A pipeline is a source joined with one of its sinks. It is named like the source where both have one name, else ``source:sink``; those of
events have ``event:`` in front.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as AnyMapping
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

from agents.contract import BadParameters, Transformer
from agents.definition_files import BadDefinitions, Listing, Mapping, Mistake, Mistakes, collect, read_definitions
from agents.globs import glob_problem, is_wanted

__all__ = ["COLLECTOR", "Pipeline", "Pipelines", "load_pipelines"]

COLLECTOR = "collector://"
_MAX_NAME = 100
_MAX_REMEMBERED = 10_000


class UrlProblem(Protocol):
    """Says why a publisher's URL cannot be used, naming it without its password; "" when it can.

    For events another may be right than for samples.
    """

    def __call__(self, url: str, *, for_events: bool) -> str: ...


Transformers = AnyMapping[str, Callable[[Mapping], Transformer]]


@dataclass(frozen=True)
class Pipeline:
    """One source joined with one sink; ``digest`` is another whenever the sink's transformers are others."""

    name: str
    globs: tuple[str, ...]
    publishers: tuple[str, ...]
    transformers: tuple[Transformer, ...] = ()
    digest: str = ""

    def wants(self, name: str) -> bool:
        """Whether a meter (an event type) of this name goes through it."""
        return is_wanted(name, self.globs)

    @property
    def keeps_state(self) -> bool:
        return any(transformer.keeps_state for transformer in self.transformers)


@dataclass(frozen=True)
class Pipelines:
    """All pipelines of samples and of events, in the order of the files."""

    samples: tuple[Pipeline, ...]
    events: tuple[Pipeline, ...] = ()
    _samples_by_name: dict[str, tuple[Pipeline, ...]] = field(default_factory=dict, repr=False, compare=False)
    _events_by_name: dict[str, tuple[Pipeline, ...]] = field(default_factory=dict, repr=False, compare=False)

    def for_meter(self, name: str) -> tuple[Pipeline, ...]:
        return _remembered(self._samples_by_name, self.samples, name)

    def for_event(self, type: str) -> tuple[Pipeline, ...]:
        return _remembered(self._events_by_name, self.events, type)

    def wants(self, meter_name: str) -> bool:
        """Whether a polled sample of this meter, which the collector gets anyway, has anything to do here."""
        return any(
            pipeline.transformers or pipeline.publishers != (COLLECTOR,) for pipeline in self.for_meter(meter_name)
        )

    @property
    def touch_polled(self) -> bool:
        """Whether anything here is done with polled samples at all."""
        return any(pipeline.transformers or pipeline.publishers != (COLLECTOR,) for pipeline in self.samples)

    def publishers(self) -> set[str]:
        """The URLs of all publishers, the collector's left out."""
        urls = {url for pipeline in (*self.samples, *self.events) for url in pipeline.publishers}
        return urls - {COLLECTOR}

    @property
    def needs_state(self) -> bool:
        """Whether any transformer remembers something from one call to the next."""
        return any(pipeline.keeps_state for pipeline in self.samples)


def _remembered(
    memory: dict[str, tuple[Pipeline, ...]], pipelines: tuple[Pipeline, ...], name: str
) -> tuple[Pipeline, ...]:
    found = memory.get(name)
    if found is None:
        if len(memory) >= _MAX_REMEMBERED:
            memory.clear()
        found = memory[name] = tuple(pipeline for pipeline in pipelines if pipeline.wants(name))
    return found


def load_pipelines(
    samples_path: Path, events_path: Path, *, transformers: Transformers, url_problem: UrlProblem
) -> Pipelines:
    """Read both files. Raises BadDefinitions with every mistake of both.

    ``transformers`` makes a transformer of a sink's parameters, by name; ``url_problem`` is not asked about ``collector://``.
    """
    mistakes: list[Mistake] = []
    samples, events = (
        collect(mistakes, _File(path, kind=kind, transformers=transformers, url_problem=url_problem).read)
        for path, kind in ((samples_path, "meters"), (events_path, "events"))
    )
    if samples is None or events is None:
        raise BadDefinitions(mistakes)
    return Pipelines(samples, events)


@dataclass(frozen=True)
class _Source:
    name: str
    globs: tuple[str, ...]
    sinks: Listing


@dataclass(frozen=True)
class _Sink:
    publishers: tuple[str, ...]
    transformers: tuple[Transformer, ...]
    definition: Any


_HINTS = dict.fromkeys(
    ("interval", "resources", "discovery"), "; what is polled, and how often, is said in polling.yaml"
)


class _File:
    """One of the two files while it is read: each part is read as far as it can be, what is wrong is collected."""

    def __init__(self, path: Path, *, kind: str, transformers: Transformers, url_problem: UrlProblem) -> None:
        self._path = path
        self._kind = kind
        self._transformers = transformers
        self._url_problem = url_problem
        self._mistakes = Mistakes(path)
        self._names: set[str] = set()

    def read(self) -> tuple[Pipeline, ...]:
        document = read_definitions(self._path)
        if not isinstance(document, Mapping):
            self._mistakes.add(0, "expected a mapping with the keys sources and sinks")
            self._mistakes.raise_if_any()
        self._refuse_unknown(document, known=("sources", "sinks"))
        sinks = self._read_named(document, "sinks", self._read_sink)
        sources = self._read_named(document, "sources", self._read_source)
        pipelines = [pair for source in sources.values() for pair in self._join(source, sinks)]
        self._mistakes.raise_if_any()
        return tuple(pipelines)

    def _read_named(self, document: Mapping, key: str, read: Callable[[str, Mapping], Any]) -> dict[str, Any]:
        entries = document.get(key)
        if not isinstance(entries, Listing) or not entries:
            self._mistakes.add(document.line_of(key), f"expected a list of at least one entry under the key {key}")
            return {}
        named: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for entry, line in zip(entries, entries.lines, strict=True):
            if not isinstance(entry, Mapping):
                self._mistakes.add(line, f"{key}: expected a mapping, not {entry!r:.80}")
                continue
            name = entry.get("name")
            if not isinstance(name, str) or not 0 < len(name) <= _MAX_NAME:
                text = f"name {name!r:.80}: expected a text of at most {_MAX_NAME} characters"
                self._mistakes.add(entry.line_of("name"), text)
                name = f"\0{line}"
            elif name in named:
                text = f"the name {name!r} is used twice in {key}, first in line {lines[name]}"
                self._mistakes.add(entry.line_of("name"), text)
                continue
            named[name], lines[name] = read(name, entry), entry.line_of("name")
        return named

    def _read_source(self, name: str, entry: Mapping) -> _Source:
        self._refuse_unknown(entry, known=("name", self._kind, "sinks"))
        globs = self._texts(entry, self._kind)
        problem = glob_problem(globs)
        if problem:
            self._mistakes.add(entry.line_of(self._kind), f"{self._kind} {problem}")
        sinks = Listing()
        sinks.line, sinks.lines = entry.line_of("sinks"), []
        if self._texts(entry, "sinks"):
            sinks = entry["sinks"]
        return _Source(name, globs, sinks)

    def _read_sink(self, name: str, entry: Mapping) -> _Sink:
        known = ("name", "transformers", "publishers") if self._kind == "meters" else ("name", "publishers")
        hint = "" if self._kind == "meters" else "; events are not transformed"
        if self._kind == "events" and not entry.get("transformers"):
            # Ceilometer's own files have the key, with nothing under it.
            known = (*known, "transformers")
        self._refuse_unknown(entry, known=known, hints={"transformers": hint})
        publishers = [self._read_url(entry, number) for number in range(len(self._texts(entry, "publishers")))]
        transformers = self._read_transformers(entry) if self._kind == "meters" else ()
        return _Sink(tuple(dict.fromkeys(publishers)), transformers, entry.get("transformers"))

    def _read_url(self, entry: Mapping, number: int) -> str:
        url = entry["publishers"][number]
        url = url if "://" in url else f"{url}://"
        problem = self._url_problem(url, for_events=self._kind == "events") if url != COLLECTOR else ""
        if problem:
            self._mistakes.add(entry["publishers"].lines[number], problem)
        return url

    def _read_transformers(self, entry: Mapping) -> tuple[Transformer, ...]:
        steps = entry.get("transformers")
        if steps is None:
            return ()
        if not isinstance(steps, Listing):
            self._mistakes.add(entry.line_of("transformers"), f"transformers {steps!r:.80}: expected a list")
            return ()
        made = [self._read_transformer(step, line) for step, line in zip(steps, steps.lines, strict=True)]
        return tuple(transformer for transformer in made if transformer is not None)

    def _read_transformer(self, step: Any, line: int) -> Transformer | None:
        if not isinstance(step, Mapping):
            self._mistakes.add(line, f"transformers: expected a mapping with a name, not {step!r:.80}")
            return None
        self._refuse_unknown(step, known=("name", "parameters"))
        name, parameters = step.get("name"), step.get("parameters")
        if not isinstance(name, str) or name not in self._transformers:
            known = ", ".join(sorted(self._transformers))
            self._mistakes.add(step.line_of("name"), f"transformer {name!r:.80}: expected one of {known}")
            return None
        if parameters is None:
            parameters = Mapping()
            parameters.line, parameters.lines = line, {}
        if not isinstance(parameters, Mapping):
            text = f"parameters {parameters!r:.80}: expected a mapping"
            self._mistakes.add(step.line_of("parameters"), text)
            return None
        try:
            return self._transformers[name](parameters)
        except BadParameters as error:
            for path, text in error.problems:
                self._mistakes.add(_line_of(parameters, path), ": ".join(filter(None, (name, ".".join(path), text))))
        except Exception as error:  # a plugin's own way to refuse
            self._mistakes.add(line, f"{name}: {type(error).__name__}: {error}")
        return None

    def _join(self, source: _Source, sinks: AnyMapping[str, _Sink]) -> list[Pipeline]:
        pipelines: list[Pipeline] = []
        for sink_name, line in zip(source.sinks, source.sinks.lines, strict=True):
            if sink_name not in sinks:
                self._mistakes.add(line, f"source {source.name!r}: there is no sink {sink_name!r}")
                continue
            sink = sinks[sink_name]
            name = source.name if source.name == sink_name else f"{source.name}:{sink_name}"
            name = name if self._kind == "meters" else f"event:{name}"
            if name in self._names:
                self._mistakes.add(line, f"the pipeline {name!r} is there twice")
            self._names.add(name)
            digest = _digest_of(name, sink.definition)
            pipelines.append(Pipeline(name, source.globs, sink.publishers, sink.transformers, digest))
        return pipelines

    def _texts(self, entry: Mapping, key: str) -> tuple[str, ...]:
        value = entry.get(key)
        if isinstance(value, Listing) and value and all(isinstance(item, str) and item for item in value):
            return tuple(value)
        self._mistakes.add(entry.line_of(key), f"{key} {value!r:.80}: expected a list of at least one text")
        return ()

    def _refuse_unknown(
        self, mapping: Mapping, *, known: tuple[str, ...], hints: AnyMapping[str, str] = _HINTS
    ) -> None:
        for key in mapping:
            if key not in known:
                text = f"unknown key {key!r:.80}; known are {', '.join(known)}{hints.get(key, '')}"
                self._mistakes.add(mapping.line_of(key), text)


def _line_of(parameters: Mapping, path: tuple[str, ...]) -> int:
    """The line of a parameter, of what it stands in where it is missing."""
    line, inside = parameters.line, parameters
    for key in path:
        if not isinstance(inside, Mapping):
            break
        line, inside = inside.line_of(key), inside.get(key)
    return line


def _digest_of(name: str, transformers: Any) -> str:
    """What is remembered under one definition is of no use to another."""
    return blake2b(repr((name, _in_order(transformers))).encode(), digest_size=12).hexdigest()


def _in_order(value: Any) -> Any:
    """The same whatever order keys were written in."""
    if isinstance(value, Mapping):
        return sorted(((str(key), _in_order(entry)) for key, entry in value.items()), key=lambda entry: entry[0])
    return [_in_order(entry) for entry in value] if isinstance(value, Listing) else repr(value)
