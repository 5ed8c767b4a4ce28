"""``manage.py audit``: is the store still what was signed?"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from metering.housekeeping.audit import Finding, audit_ledger, audit_rollups, audit_strays

_SHOWN_EVERY = 200


class Command(BaseCommand):
    help = (
        "Check the samples and events against the signed batches in the ledger, and the rollups against the samples. "
        "Names everything that differs, such as a row changed by hand, and then ends with an error."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument(
            "--days", type=_days, metavar="D", help="only what is of the last so many days (default: all)"
        )
        parser.add_argument(
            "--share",
            type=_percentage,
            default=100.0,
            metavar="PERCENT",
            help="check so many in a hundred of the batches, hours and days, drawn by lot (default 100)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        since = now - timedelta(days=options["days"]) if options["days"] else None
        share = options["share"] / 100
        wrong = self._report("batches", audit_ledger(since, share=share))
        wrong += self._report("searches for what has no header in the ledger", [audit_strays()])
        wrong += self._report("hours and days", audit_rollups(now, since, share=share))
        if wrong:
            raise CommandError(
                f"{wrong} differences: the store is not what was signed. `manage.py rebuild` writes samples and rollups again "
                "from the ledger; what was changed in the ledger itself, only a backup brings back"
            )
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


def _days(text: str) -> int:
    value = int(text)
    if not 1 <= value <= 100_000:
        raise ValueError
    return value


_days.__name__ = "whole number of days, at least 1"


def _percentage(text: str) -> float:
    value = float(text)
    if not 0 < value <= 100:
        raise ValueError
    return value


_percentage.__name__ = "number above 0, up to 100"
