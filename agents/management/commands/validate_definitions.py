"""``manage.py validate_definitions``: whether the files of an operator can be used, and what is hardly meant in them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents.definition_files import BadDefinitions
from agents.node import own_directory
from agents.notifications.rules import Rules, read_rules


class Command(BaseCommand):
    help = (
        "Read meters.yaml, meters.d/, events.yaml, pipeline.yaml and event_pipeline.yaml as the transform role would, and name every "
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
        try:
            rules = read_rules(own, Path(settings.CELOMETER_DEFAULTS_DIR))
        except BadDefinitions as error:
            count = len(error.mistakes)
            raise CommandError(
                f"{error}\n{count} mistake{'s' if count > 1 else ''}: these files cannot be used"
            ) from error
        for warning in rules.warnings:
            self.stdout.write(f"warning: {warning}")
        self.stdout.write(_summary(rules))
        if rules.pipelines.needs_state and not settings.CELOMETER_STATE_URL:
            raise CommandError("pipeline.yaml has transformers that keep state: expected CELOMETER_STATE_URL, a Redis")


def _summary(rules: Rules) -> str:
    pipelines = rules.pipelines
    return (
        f"good: {len(rules.meters.definitions)} definitions of meters, {len(rules.events.definitions)} of events, "
        f"{len(pipelines.samples)} pipelines of samples, {len(pipelines.events)} of events"
    )
