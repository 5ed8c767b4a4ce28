"""The collector's doorway from the broker."""

from __future__ import annotations

import logging
import time

from celery import Task, current_app, shared_task
from celery.exceptions import Reject

from .errors import StoreAway
from .ingestion import Result, ingest

__all__ = ["COLLECT_TASK", "collect", "request_partitions"]

logger = logging.getLogger(__name__)

COLLECT_TASK = "metering.collect"
ADMIT_PARKED_TASK = "metering.admit_parked"
# A short absence is waited out with the message in hand; after that it goes back, and the worker consumes nothing until the store answers.
_WAIT_SECONDS = 5.0
_RETRY_SECONDS = 0.5


@shared_task(name=COLLECT_TASK, bind=True, ignore_result=True)
def collect(self: Task, message: bytes) -> str:
    """Take one signed batch in; acknowledged after the commit. While the store is away this worker takes nothing else."""
    deadline = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            outcome = ingest(message)
            break
        except StoreAway as error:
            if time.monotonic() > deadline:
                logger.warning("store is away, the message goes back to the broker: %s", error)
                raise Reject(str(error), requeue=True) from error
        except Exception as error:
            # Not even the quarantine took it. Celery would drop a message whose task raised; this one goes back, slowly.
            logger.exception("a message could be neither taken in nor quarantined, it goes back to the broker")
            time.sleep(_RETRY_SECONDS)
            raise Reject(str(error), requeue=True) from error
        time.sleep(_RETRY_SECONDS)
    if outcome.result is Result.PARKED:
        request_partitions()
    return outcome.result


def request_partitions() -> None:
    """Ask housekeeping to make partitions for parked batches. Only a wake-up: housekeeping looks for them by itself, too."""
    try:
        current_app.send_task(ADMIT_PARKED_TASK, queue="store", retry=False)
    except Exception as error:  # whatever the broker's library raises: the batch is safe in the store
        logger.warning("housekeeping could not be woken for a parked batch, it will come by itself: %s", error)
