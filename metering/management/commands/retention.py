"""``manage.py retention``: what is stored, partition by partition, and what is about to go."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from metering.housekeeping.catalogue import Partition, list_partitions
from metering.housekeeping.partitions import list_parents
from metering.housekeeping.retention import Plan, plan_retention
from metering.models import Meter
from metering.retention.floors import read_floors
from metering.retention.policy import BadRetentionFile, Policy, read_policy

__all__ = ["Command"]


class Command(BaseCommand):
    help = (
        "Show what is stored, partition by partition: time range, size, rows (PostgreSQL's estimate), and what is past its time. "
        "Nothing is changed: housekeeping drops it, every minute or by `manage.py housekeep`. retention.yaml says how long things are kept."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="show only what would go now")

    def handle(self, *args: Any, **options: Any) -> None:
        now = timezone.now()
        try:
            policy, plan = read_policy(), plan_retention(now)
        except BadRetentionFile as error:
            raise CommandError(str(error)) from error
        going = {partition.name for partition in plan.partitions}
        shown = plan.partitions if options["dry_run"] else list_partitions(list_parents())
        lines = [*_table(shown, going=going), _summary(plan)]
        if not options["dry_run"]:
            lines += [*_floor_lines(read_floors().by_subject), *_strayed(policy)]
        self.stdout.write("\n".join(lines))


def _table(partitions: Iterable[Partition], *, going: set[str]) -> list[str]:
    rows = [
        (
            partition.parent.subject,
            f"{partition.low:%Y-%m-%d}",
            f"{partition.high:%Y-%m-%d}",
            _megabytes(partition.size_bytes),
            "?" if partition.row_count is None else f"{partition.row_count:,}",
            "goes" if partition.name in going else "",
        )
        for partition in partitions
    ]
    if not rows:
        return []
    rows.insert(0, ("kind", "from", "to", "size", "rows", ""))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        f"{kind:<{widths[0]}}  {low:<10}  {high:<10}  {size:>{widths[3]}}  {count:>{widths[4]}}  {word}".rstrip()
        for kind, low, high, size, count, word in rows
    ]


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1_000_000:,.1f} MB"


def _summary(plan: Plan) -> str:
    size = _megabytes(sum(partition.size_bytes for partition in plan.partitions))
    rows = "".join(f", {count:,} rows of {subject}" for subject, count in plan.rows.items() if count)
    return f"past their time: {len(plan.partitions)} partitions of {size}{rows}"


def _floor_lines(floors: dict[str, datetime]) -> list[str]:
    return [f"{subject}: nothing from before {floor:%Y-%m-%d} is left" for subject, floor in sorted(floors.items())]


def _strayed(policy: Policy) -> list[str]:
    """Meters that retention.yaml would put elsewhere today: their class stays what it was."""
    meters = Meter.objects.select_related("retention_class").order_by("name")
    return [
        f"{meter.name} stays in class {meter.retention_class}, chosen when it came; "
        f"retention.yaml now says {policy.class_of(meter.name)}"
        for meter in meters
        if meter.retention_class.name != policy.class_of(meter.name)
    ]
