"""Housekeeping's doorway from the broker: the clock's tick, and a collector's wake-up."""

from __future__ import annotations

import logging

from celery import shared_task
from django.utils import timezone

from metering.collector.errors import StoreAway
from metering.collector.tasks import ADMIT_PARKED_TASK

from . import indexes
from .parked import admit_parked
from .rolling import keep_rollups
from .routine import keep_house

__all__ = ["admit", "housekeep", "rebuild_indexes", "roll"]

logger = logging.getLogger(__name__)


@shared_task(name="metering.housekeep", ignore_result=True)
def housekeep() -> None:
    """Everything that is done regularly. A run that fails is told in the log; the next tick tries again."""
    try:
        keep_house(timezone.now())
    except StoreAway as error:
        logger.warning("housekeeping waits for the next tick: %s", error)


@shared_task(name="metering.roll", ignore_result=True)
def roll() -> None:
    """Rollups of what has changed. Bounded: the next tick goes on where this one stops."""
    try:
        keep_rollups(timezone.now())
    except StoreAway as error:
        logger.warning("rollups wait for the next tick: %s", error)


@shared_task(name="metering.rebuild_indexes", ignore_result=True)
def rebuild_indexes() -> None:
    """Of one week that is over. The next tick goes on."""
    try:
        indexes.rebuild_indexes(timezone.now())
    except StoreAway as error:
        logger.warning("indexes wait for the next tick: %s", error)


@shared_task(name=ADMIT_PARKED_TASK, ignore_result=True)
def admit() -> None:
    """A batch was parked. Only a wake-up: what it misses, the next tick finds."""
    try:
        admit_parked(timezone.now())
    except StoreAway as error:
        logger.warning("parked batches wait for the next tick: %s", error)
