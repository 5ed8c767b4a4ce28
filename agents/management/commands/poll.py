"""``manage.py poll``: one poll here and now."""

from __future__ import annotations

import argparse
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from agents.definition_files import BadDefinitions
from agents.keys import BadKeyFile
from agents.node import open_outbox, read_sources, source_reader
from agents.outbox import OutboxFull
from agents.poller import keep_samples
from agents.polling import Polled, Source
from agents.registry import DuplicateName


class Command(BaseCommand):
    help = (
        "Poll this node once, here and now, and show what was measured as a table. With --print nothing else happens; without it the "
        "samples are signed and put into the outbox, from where the node's worker sends them."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--source", metavar="S", help="one source of polling.yaml (default: all of this node's)")
        parser.add_argument("--print", action="store_true", dest="only_print", help="only show; keep and send nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            sources = self._sources(options["source"])
            poll = source_reader()
            for source in sources:
                started = time.perf_counter()
                polled = poll(source)
                self._show(source, polled, time.perf_counter() - started)
                if not options["only_print"]:
                    self._keep(source, polled)
        except (BadDefinitions, BadKeyFile, DuplicateName, OutboxFull) as error:
            raise CommandError(str(error)) from error

    def _sources(self, name: str | None) -> list[Source]:
        sources = read_sources()
        chosen = [source for source in sources if name in (None, source.name)]
        if not chosen:
            raise CommandError(f"source {name!r}: polling.yaml has {', '.join(source.name for source in sources)}")
        return chosen

    def _show(self, source: Source, polled: Polled, elapsed_seconds: float) -> None:
        rows = [
            (sample.resource.id, sample.meter.name, sample.volume, sample.meter.unit, sample.meter.type)
            for sample in sorted(polled.samples, key=lambda sample: (sample.resource.id, sample.meter.name))
        ]
        titles = ("RESOURCE", "METER", "VOLUME", "UNIT", "TYPE")
        widths = [max((len(row[column]) for row in [titles, *rows]), default=0) for column in range(len(titles))]
        for row in [titles, *rows]:
            cells = [
                cell.rjust(width) if column == 2 else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            self.stdout.write("  ".join(cells).rstrip())
        resources = len({sample.resource.id for sample in polled.samples})
        self.stdout.write(
            f"\nsource {source.name} on {settings.CELOMETER_NODE}: {len(rows)} samples of {resources} resources in {elapsed_seconds:.2f} s"
        )
        for problem in polled.problems:
            self.stderr.write(self.style.WARNING(f"{problem.where}: {problem.what}"))

    def _keep(self, source: Source, polled: Polled) -> None:
        batches = keep_samples(
            open_outbox(), polled, source=source, due=time.time_ns() // 1000, labels=settings.CELOMETER_LABELS
        )
        self.stdout.write(f"{batches} signed batches put into the outbox")
