"""``manage.py rebuild``: samples and rollups again from the ledger."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from metering.collector.errors import StoreAway
from metering.collector.rebuilding import remove_strays
from metering.housekeeping.rebuild import rebuild
from metering.housekeeping.rolling import keep_rollups
from metering.models import Batch

_SHOWN_EVERY = 200
_ROLLING_SECONDS = 10.0


class Command(BaseCommand):
    help = (
        "Write all samples again from the signed batches in the ledger, delete those that no batch has, and make the rollups anew. "
        "Collectors and the API may go on: every answer is right meanwhile. What the ledger does not hold any more is left alone and named."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            left_alone = self._rebuild()
            self.stdout.write(f"{remove_strays()} samples removed that no batch has")
            while not (rolled := keep_rollups(timezone.now(), seconds=_ROLLING_SECONDS)).is_done:
                self.stderr.write(f"{rolled.hours} hours and {rolled.days} days rolled up, more to do")
        except StoreAway as error:
            raise CommandError(f"the store is away: {error}") from error
        if left_alone:
            raise CommandError(f"{left_alone} batches could not be rebuilt")

    def _rebuild(self) -> int:
        total, samples, left_alone = Batch.objects.count(), 0, 0
        for number, (count, problem) in enumerate(rebuild(), start=1):
            samples += count
            if problem:
                left_alone += 1
                self.stdout.write(problem)
            if number % _SHOWN_EVERY == 0:
                self.stderr.write(f"{number} of {total} batches, {samples} samples")
        self.stdout.write(f"{total} batches, {samples} samples written again")
        return left_alone
