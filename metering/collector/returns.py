"""Notifications that the quarantine gives back to the role that refused them."""

from __future__ import annotations

from celery import current_app
from django.conf import settings

__all__ = ["return_to_transform"]

# The transform role's doorway. Its code stands on the other side of the trust line: only the name is known here.
_CONVERT_TASK = "agents.convert"
_TRANSFORM_QUEUE = "transform"


def return_to_transform(bundle: bytes) -> None:
    """Send a bundle as the listener does; returns when the broker that agents share has it, raises when it may not."""
    with current_app.connection_for_write(settings.CELOMETER_BROKER_URL) as connection:
        current_app.send_task(
            _CONVERT_TASK,
            args=(bundle,),
            argsrepr="a signed bundle",
            queue=_TRANSFORM_QUEUE,
            serializer="celometer-batch",
            ignore_result=True,
            retry=False,
            connection=connection,
            mandatory=True,
        )
