"""``manage.py housekeep``: one round of housekeeping, here and now."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from metering.collector.errors import StoreAway
from metering.housekeeping.rolling import keep_rollups
from metering.housekeeping.routine import keep_house


class Command(BaseCommand):
    help = (
        "Do one round of housekeeping: make the partitions of this week and the next two, drop those past their retention, take in "
        "batches that waited for one, make the rollups of hours and days that have changed. "
        "The role `celery -A config worker -Q store` does the same all the time."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            kept = keep_house(timezone.now())
            rolled = keep_rollups(timezone.now())
        except StoreAway as error:
            raise CommandError(f"housekeeping could not be done: {error}") from error
        rest = "" if rolled.is_done else ", more to do"
        self.stdout.write(
            f"{len(kept.partitions)} partitions made, {len(kept.dropped)} dropped, {len(kept.admitted)} parked batches taken in, "
            f"{rolled.hours} hours and {rolled.days} days rolled up{rest}"
        )
