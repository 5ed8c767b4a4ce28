"""``manage.py validate_definitions``: whether the files of an operator can be used, and what is hardly meant in them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents.checking import Checked, check_files
from agents.definition_files import BadDefinitions
from agents.node import own_directory
from agents.notifications.rules import Rules
from agents.reloading import place_of


class Command(BaseCommand):
    help = (
        "Read meters.yaml, meters.d/, events.yaml, pipeline.yaml, event_pipeline.yaml and polling.yaml as the roles would, and name every "
        "mistake with its file and line. A file that is not in the directory is the shipped one. Nothing is changed: try a directory "
        "before you copy it over the one in use."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "directory",
            nargs="?",
            type=Path,
            help="where your files lie (default: CELOMETER_CONFIG_DIR, without it the shipped files alone)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        own = options["directory"] or own_directory()
        if own and not own.is_dir():
            raise CommandError(f"{own} is no directory")
        shipped = Path(settings.CELOMETER_DEFAULTS_DIR)
        try:
            checked = check_files(own, shipped)
        except BadDefinitions as error:
            count = len(error.mistakes)
            raise CommandError(
                f"{error}\n{count} mistake{'s' if count > 1 else ''}: these files cannot be used"
            ) from error
        for warning in checked.warnings:
            self.stdout.write(f"warning: {warning}")
        for note in checked.notes:
            self.stdout.write(f"note: {note}")
        self.stdout.write(_summary(checked, own, shipped))
        if checked.rules.pipelines.needs_state and not settings.CELOMETER_STATE_URL:
            raise CommandError("pipeline.yaml has transformers that keep state: expected CELOMETER_STATE_URL, a Redis")


def _summary(checked: Checked, own: Path | None, shipped: Path) -> str:
    """What is used, and out of which files."""

    def called(path: Path) -> str:
        return str(path.relative_to(own)) if own and path.is_relative_to(own) else "shipped"

    def file_of(name: str) -> str:
        return called(place_of(name, own, shipped))

    rules, pipelines = checked.rules, checked.rules.pipelines
    meters = ", ".join(
        f"{count} {'' if file == 'shipped' else 'from '}{file}" for file, count in _counts(rules, called)
    )
    return (
        f"good: {len(rules.meters.definitions)} definitions of meters ({meters}), "
        f"{len(rules.events.definitions)} of events ({file_of('events.yaml')}), "
        f"{len(pipelines.samples)} pipelines of samples ({file_of('pipeline.yaml')}), "
        f"{len(pipelines.events)} of events ({file_of('event_pipeline.yaml')}), "
        f"{len(checked.sources)} sources of polling ({file_of('polling.yaml')})"
    )


def _counts(rules: Rules, called: Callable[[Path], str]) -> list[tuple[str, int]]:
    return [(called(path), count) for path, count in rules.meters.counts.items()]
