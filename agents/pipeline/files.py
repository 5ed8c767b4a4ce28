"""pipeline.yaml and event_pipeline.yaml where they lie."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from agents.reloading import Reloaded, place_of, require_directory

from .definition import Pipelines, load_pipelines
from .publishers.address import url_problem
from .transformers import load_transformers

__all__ = ["pipeline_files", "pipeline_places", "read_pipelines"]

_NAMES = ("pipeline.yaml", "event_pipeline.yaml")


def read_pipelines(own: Path | None, shipped: Path) -> Pipelines:
    """Both files: the operator's own, where they are there. Raises BadDefinitions with the mistakes of both."""
    require_directory(own)
    samples, events = (place_of(name, own, shipped) for name in _NAMES)
    return load_pipelines(samples, events, transformers=load_transformers(), url_problem=url_problem)


def pipeline_files(own: Path | None, shipped: Path) -> Reloaded[Pipelines]:
    """Pipelines alone, for who makes nothing of notifications; files with mistakes are as none, until they are mended."""
    return Reloaded(lambda: read_pipelines(own, shipped), lambda: pipeline_places(own, shipped), instead=Pipelines(()))


def pipeline_places(own: Path | None, shipped: Path) -> Iterator[Path]:
    """All places that are looked at."""
    for directory in (own, shipped):
        if directory:
            yield from (directory / name for name in _NAMES)
