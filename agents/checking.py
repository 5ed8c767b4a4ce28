"""All files of an operator looked at together, as ``manage.py validate_definitions`` and ``manage.py check`` do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from django.conf import settings

from .definition_files import BadDefinitions, Mistake, collect
from .notifications.rules import Rules, read_rules
from .polling import Source, load_sources, unknown_meters
from .registry import load_registry
from .reloading import place_of, require_directory

__all__ = ["Checked", "check_files"]

# retention.yaml is the server's.
_READ = ("meters.yaml", "events.yaml", "pipeline.yaml", "event_pipeline.yaml", "polling.yaml", "retention.yaml")
_MORE_METERS = "meters.d"
# Ceilometer's names, and what has their part here.
_CALLED = {
    "event_definitions.yaml": "Celometer's is events.yaml",
    "events_definitions.yaml": "Celometer's is events.yaml",
    "meter.yaml": "Celometer's is meters.yaml, or any file in meters.d/",
    "gnocchi_resources.yaml": "Celometer has no Gnocchi: its own store needs no such file",
}


class Checked(NamedTuple):
    """What the files say. ``warnings`` are what is hardly meant; ``notes`` what is meant and worth knowing."""

    rules: Rules
    sources: list[Source]
    warnings: list[Mistake]
    notes: list[Mistake]


def check_files(own: Path | None, shipped: Path) -> Checked:
    """Read all files as the roles would. Raises BadDefinitions with the mistakes of all of them."""
    require_directory(own)
    mistakes: list[Mistake] = []
    rules = collect(mistakes, lambda: read_rules(own, shipped))
    polling = place_of("polling.yaml", own, shipped)
    sources = collect(mistakes, lambda: load_sources(polling))
    if rules is None or sources is None:
        raise BadDefinitions(mistakes)
    known = list(load_registry(libvirt_uri=settings.CELOMETER_LIBVIRT_URI).pollsters)
    unknown = [Mistake(polling, line, text) for line, text in unknown_meters(sources, known)]
    return Checked(rules, sources, [*rules.warnings, *unknown, *_unread(own)], rules.meters.notes)


def _unread(own: Path | None) -> Iterator[Mistake]:
    """Files that look as if they were read."""
    if not own:
        return
    for path in sorted([*own.glob("*.yaml"), *own.glob("*.yml"), *(own / _MORE_METERS).glob("*.yml")]):
        if path.parent == own and path.name in _READ:
            continue
        if path.parent != own:
            hint = "expected a name that ends in .yaml"
        else:
            hint = _CALLED.get(path.name) or f"expected one of {', '.join(_READ)}, or a file in {_MORE_METERS}/"
        yield Mistake(path, 0, f"is not read; {hint}")
