"""What a node polls goes to the collector as it is; where pipelines have something to do with it, to the transform role as well."""

from __future__ import annotations

from collections.abc import Callable

from metering.messages import EventBody, open_body, parse_batch

from .broker import DERIVE_TASK, TRANSFORM_QUEUE, publish, publish_batch
from .pipeline.definition import Pipelines

__all__ = ["Forwarding"]

# What the transform role makes itself has been through the pipelines.
MADE_OF_INPUTS = "notifications"


class Forwarding:
    """Sends one message of the outbox wherever it has to go; ``current_pipelines`` gives them as they are now."""

    def __init__(self, current_pipelines: Callable[[], Pipelines]) -> None:
        self._current_pipelines = current_pipelines

    def publish(self, message: bytes) -> None:
        """Returns when the broker has it. Raises when it may not: then all of it is to be sent again, which doubles nothing."""
        publish_batch(message)
        pipelines = self._current_pipelines()
        if pipelines.touch_polled and _is_wanted(message, pipelines):
            publish(message, task=DERIVE_TASK, queue=TRANSFORM_QUEUE)


def _is_wanted(message: bytes, pipelines: Pipelines) -> bool:
    sealed = parse_batch(message)
    if sealed.header.source == MADE_OF_INPUTS:
        return False
    body = open_body(sealed)
    return not isinstance(body, EventBody) and any(pipelines.wants(meter.name) for meter in body.meters)
