"""What an operator decides in files: which samples and events notifications become, and where they go. Changed files count at once.

``meters.yaml``, ``events.yaml``, ``pipeline.yaml`` and ``event_pipeline.yaml`` of $CELOMETER_CONFIG_DIR each replace the shipped one;
definitions in its ``meters.d/*.yaml`` come before those of ``meters.yaml``, meter by meter.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from agents.definition_files import BadDefinitions, Mistake, collect
from agents.pipeline.definition import Pipelines
from agents.pipeline.files import pipeline_places, read_pipelines
from agents.reloading import Reloaded, place_of, require_directory

from .definitions.events import EventDefinitions, read_events
from .definitions.meters import MeterDefinitions, read_meters

__all__ = ["SOURCE", "Rules", "read_rules", "rules_files"]

# Of whatever notifications are made into; the same as that of what compute agents poll.
SOURCE = "openstack"
_METERS, _EVENTS = "meters.yaml", "events.yaml"
_MORE_METERS = "meters.d"


class Rules(NamedTuple):
    """All files as they were at one time, compiled."""

    meters: MeterDefinitions
    events: EventDefinitions
    pipelines: Pipelines

    @property
    def warnings(self) -> list[Mistake]:
        """What can be used and is hardly meant: definitions that never count."""
        return [*self.meters.warnings, *self.events.warnings]


def rules_files(own: Path | None, shipped: Path) -> Reloaded[Rules]:
    """All rules, always as the files are. Raises BadDefinitions."""
    return Reloaded(lambda: read_rules(own, shipped), lambda: _files(own, shipped))


def read_rules(own: Path | None, shipped: Path) -> Rules:
    """Read all files. Raises BadDefinitions with the mistakes of all of them."""
    require_directory(own)
    mistakes: list[Mistake] = []
    meters = collect(mistakes, lambda: read_meters(_meter_places(own, shipped), source=SOURCE))
    events = collect(mistakes, lambda: read_events(place_of(_EVENTS, own, shipped), source=SOURCE))
    pipelines = collect(mistakes, lambda: read_pipelines(own, shipped))
    if meters is None or events is None or pipelines is None:
        raise BadDefinitions(mistakes)
    return Rules(meters, events, pipelines)


def _meter_places(own: Path | None, shipped: Path) -> list[Path]:
    more = [own / _MORE_METERS] if own and (own / _MORE_METERS).is_dir() else []
    return [*more, place_of(_METERS, own, shipped)]


def _files(own: Path | None, shipped: Path) -> Iterator[Path]:
    """All files that are read, and those that would be if they were there."""
    for directory in (own, shipped):
        if directory:
            yield from (directory / name for name in (_METERS, _EVENTS))
    yield from pipeline_places(own, shipped)
    if own:
        yield from sorted((own / _MORE_METERS).glob("*.yaml"))
