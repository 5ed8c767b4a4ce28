"""Handing bytes to our broker: each call returns when the broker has them and raises when it may not."""

from __future__ import annotations

from functools import partial

from celery import current_app

__all__ = ["CONVERT_TASK", "DERIVE_TASK", "TRANSFORM_QUEUE", "publish", "publish_batch", "publish_bundle"]

# The collector's doorway. Its code stands on the other side of the trust line: only the name is known here.
COLLECT_TASK = "metering.collect"
COLLECTOR_QUEUE = "collector"
CONVERT_TASK = "agents.convert"
DERIVE_TASK = "agents.derive"
TRANSFORM_QUEUE = "transform"


def publish(message: bytes, *, task: str, queue: str) -> None:
    """Send a task whose one argument are these bytes."""
    with current_app.producer_or_acquire() as producer:
        try:
            current_app.send_task(
                task,
                args=(message,),
                argsrepr="signed bytes",
                queue=queue,
                serializer="celometer-batch",
                ignore_result=True,
                retry=False,
                producer=producer,
                # Without a queue RabbitMQ would take the message, say so, and drop it.
                mandatory=True,
            )
        except Exception:
            # Perhaps the queue is gone: the next attempt declares it again.
            producer.connection.declared_entities.clear()
            raise


publish_batch = partial(publish, task=COLLECT_TASK, queue=COLLECTOR_QUEUE)
publish_bundle = partial(publish, task=CONVERT_TASK, queue=TRANSFORM_QUEUE)
