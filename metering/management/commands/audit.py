"""``manage.py audit``: is the store still what was signed?"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from metering.housekeeping.audit import Finding, audit_ledger, audit_rollups, samples_without_batch

_SHOWN_EVERY = 200


class Command(BaseCommand):
    help = (
        "Check the samples against the signed batches in the ledger, and the rollups against the samples. Names everything that differs, "
        "such as a row changed by hand, and then ends with an error."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--days", type=int, help="only the samples of the last so many days (default: all)")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        since = now - timedelta(days=options["days"]) if options["days"] else None
        wrong = self._report("batches", audit_ledger(since))
        wrong += self._report("searches for samples that no batch has", [samples_without_batch()])
        wrong += self._report("hours and days", audit_rollups(now, since))
        if wrong:
            raise CommandError(f"{wrong} differences: the store is not what was signed")
        self.stdout.write("the store is what was signed")

    def _report(self, name: str, checks: Iterable[list[Finding]]) -> int:
        """Print the findings and how far it is; return how many there were."""
        wrong = count = 0
        for count, findings in enumerate(checks, start=1):
            for finding in findings:
                self.stdout.write(str(finding))
            wrong += len(findings)
            if count % _SHOWN_EVERY == 0:
                self.stderr.write(f"{count} {name} checked")
        self.stdout.write(f"{count} {name} checked, {wrong} differences")
        return wrong
