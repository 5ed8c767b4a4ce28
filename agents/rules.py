"""What an operator decides in files: which samples and events notifications become, and where they go. Changed files count at once.

``meters.yaml``, ``events.yaml``, ``pipeline.yaml`` and ``event_pipeline.yaml`` of $CELOMETER_CONFIG_DIR each replace the shipped one;
definitions in its ``meters.d/*.yaml`` come before those of ``meters.yaml``, meter by meter.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from .definition_files import BadDefinitions, Mistake
from .notifications.definitions.events import EventDefinitions, read_events
from .notifications.definitions.meters import MeterDefinitions, read_meters
from .pipeline.definition import Pipelines, load_pipelines
from .pipeline.publishers.address import url_problem
from .pipeline.transformers import load_transformers

__all__ = ["SOURCE", "Reloaded", "Rules", "pipeline_files", "read_rules", "rules_files"]

logger = logging.getLogger(__name__)

# Of whatever notifications are made into; the same as that of what compute agents poll.
SOURCE = "openstack"
_METERS, _EVENTS, _PIPELINES, _EVENT_PIPELINES = "meters.yaml", "events.yaml", "pipeline.yaml", "event_pipeline.yaml"
_MORE_METERS = "meters.d"
# How long changed files must have stayed as they are before they are read, and how often that is waited for.
_AT_REST_SECONDS = 0.2
_MOST_LOOKS = 10
Read = TypeVar("Read")
# Path, time of the last change in ns, size.
Stamp = tuple[str, int, int]


class Rules(NamedTuple):
    """All files as they were at one time, compiled."""

    meters: MeterDefinitions
    events: EventDefinitions
    pipelines: Pipelines

    @property
    def warnings(self) -> list[Mistake]:
        """What can be used and is hardly meant: definitions that never count."""
        return [*self.meters.warnings, *self.events.warnings]


class Reloaded(Generic[Read]):
    """What ``read`` makes of files, made again when one of them has changed.

    ``files`` gives all that are read, or would be if they were there. Files with mistakes are told once, and change nothing until they
    are mended. The first reading raises BadDefinitions, unless ``instead`` says what goes until then.
    """

    def __init__(
        self, read: Callable[[], Read], files: Callable[[], Iterable[Path]], *, instead: Read | None = None
    ) -> None:
        self._read = read
        self._files = files
        self._stamp: list[Stamp] = []
        if instead is None:
            self._stamp = self._stamp_now()
            self._value = read()
        else:
            self._value = instead

    def current(self) -> Read:
        """What the files say now."""
        if self._stamp_now() != self._stamp:
            stamp = self._stamp_at_rest()
            if stamp == self._stamp:
                return self._value
            self._stamp = stamp
            try:
                self._value = self._read()
                logger.info("definitions and pipelines were read anew")
            except (BadDefinitions, OSError) as error:
                logger.error("changed definitions are not used, the former ones go on:\n%s", error)
        return self._value

    def _stamp_at_rest(self) -> list[Stamp]:
        """The files' stamp once nothing changes any more: a file that is being written is often a good one, with less in it."""
        stamp = self._stamp_now()
        for _ in range(_MOST_LOOKS):
            time.sleep(_AT_REST_SECONDS)
            before, stamp = stamp, self._stamp_now()
            if stamp == before:
                break
        return stamp

    def _stamp_now(self) -> list[Stamp]:
        return [(str(path), status.st_mtime_ns, status.st_size) for path in self._files() if (status := _status(path))]


def rules_files(own: Path | None, shipped: Path) -> Reloaded[Rules]:
    """All rules, always as the files are. Raises BadDefinitions."""
    return Reloaded(lambda: read_rules(own, shipped), lambda: _files(own, shipped))


def pipeline_files(own: Path | None, shipped: Path) -> Reloaded[Pipelines]:
    """Pipelines alone, for who makes nothing of notifications; files with mistakes are as none, until they are mended."""
    places = [directory for directory in (own, shipped) if directory]
    return Reloaded(
        lambda: _read_pipelines(own, shipped),
        lambda: [directory / name for directory in places for name in (_PIPELINES, _EVENT_PIPELINES)],
        instead=Pipelines(()),
    )


def read_rules(own: Path | None, shipped: Path) -> Rules:
    """Read all files. Raises BadDefinitions with the mistakes of all of them."""
    _require(own)
    mistakes: list[Mistake] = []
    meters = _collect(mistakes, lambda: read_meters(_meter_places(own, shipped), source=SOURCE))
    events = _collect(mistakes, lambda: read_events(_place(own, shipped, _EVENTS), source=SOURCE))
    pipelines = _collect(mistakes, lambda: _read_pipelines(own, shipped))
    if meters is None or events is None or pipelines is None:
        raise BadDefinitions(mistakes)
    return Rules(meters, events, pipelines)


def _require(own: Path | None) -> None:
    """Without it the shipped files would count, and other samples be made. Raises BadDefinitions."""
    if own and not own.is_dir():
        raise BadDefinitions([Mistake(own, 0, "expected the directory that CELOMETER_CONFIG_DIR names")])


def _read_pipelines(own: Path | None, shipped: Path) -> Pipelines:
    _require(own)
    return load_pipelines(
        _place(own, shipped, _PIPELINES),
        _place(own, shipped, _EVENT_PIPELINES),
        transformers=load_transformers(),
        url_problem=url_problem,
    )


def _collect(mistakes: list[Mistake], read: Callable[[], Read]) -> Read | None:
    try:
        return read()
    except BadDefinitions as error:
        mistakes += error.mistakes
        return None


def _place(own: Path | None, shipped: Path, name: str) -> Path:
    return own / name if own and (own / name).exists() else shipped / name


def _meter_places(own: Path | None, shipped: Path) -> list[Path]:
    more = [own / _MORE_METERS] if own and (own / _MORE_METERS).is_dir() else []
    return [*more, _place(own, shipped, _METERS)]


def _files(own: Path | None, shipped: Path) -> Iterator[Path]:
    """All files that are read, and those that would be if they were there."""
    for directory in (own, shipped):
        if directory:
            yield from (directory / name for name in (_METERS, _EVENTS, _PIPELINES, _EVENT_PIPELINES))
    if own:
        yield from sorted((own / _MORE_METERS).glob("*.yaml"))


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None
