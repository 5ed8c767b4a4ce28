"""``manage.py rebuild``: samples and rollups again from the ledger."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from metering.collector.errors import StoreAway
from metering.collector.event_rebuilding import remove_stray_events
from metering.collector.rebuilding import remove_strays
from metering.housekeeping.rebuild import rebuild
from metering.housekeeping.rolling import keep_rollups
from metering.models import Batch
from metering.rollups.recompute import mark_all

_SHOWN_EVERY = 200
_ROLLING_SECONDS = 10.0


class Command(BaseCommand):
    help = (
        "Write all samples and events again from the signed batches in the ledger, delete those that no batch has, "
        "and make the rollups anew. Collectors and the API may go on: every answer is right meanwhile. "
        "What the ledger does not hold any more is left alone and named."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            # One that no batch has may stand in the place of one that a batch has.
            self.stdout.write(f"{remove_stray_events()} events removed that no batch has")
            left_alone = self._rebuild()
            self.stdout.write(f"{remove_strays()} samples removed that no batch has")
            mark_all()
            self._make_rollups()
        except StoreAway as error:
            raise CommandError(f"the store is away: {error}") from error
        if left_alone:
            raise CommandError(f"{left_alone} batches could not be rebuilt")

    def _make_rollups(self) -> None:
        hours = days = 0
        is_done = False
        while not is_done:
            rolled = keep_rollups(timezone.now(), seconds=_ROLLING_SECONDS)
            hours, days, is_done = hours + rolled.hours, days + rolled.days, rolled.is_done
            if not is_done:
                self.stderr.write(f"{hours} hours and {days} days rolled up, more to do")
        self.stdout.write(f"{hours} hours and {days} days rolled up")

    def _rebuild(self) -> int:
        total, number, samples, left_alone = Batch.objects.count(), 0, 0, 0
        for number, (count, problem) in enumerate(rebuild(), start=1):
            samples += count
            if problem:
                left_alone += 1
                self.stdout.write(problem)
            if number % _SHOWN_EVERY == 0:
                self.stderr.write(f"{number} of {total} batches, {samples} samples and events")
        passed = (
            f"; {total - number} whose bodies retention has dropped were left as they are" if number < total else ""
        )
        self.stdout.write(f"{number - left_alone} batches, {samples} samples and events written again{passed}")
        return left_alone
