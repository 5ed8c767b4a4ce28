"""The transform role, put together from its settings: tasks → transform → outbox → sender, and publishers beside it."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

from django.conf import settings

from agents.definition_files import BadDefinitions
from agents.keys import BadKeyFile
from agents.node import forward_to_all, open_outbox, own_directory, read_key
from agents.notifications.rules import rules_files
from agents.pipeline.publishers.registry import Publishers
from agents.pipeline.state import TransformState
from agents.sender import Sender
from agents.trust import TrustedKeys

from .transform import Transform

__all__ = ["RoleFault", "TransformRole"]

logger = logging.getLogger(__name__)
_FLUSH_SECONDS = 60.0


class RoleFault(Exception):
    """The role cannot start; the text says why and what was expected."""


class TransformRole:
    """A running transform worker."""

    def __init__(self) -> None:
        """Raises RoleFault."""
        try:
            key, rules, state = (
                read_key(),
                rules_files(own_directory(), Path(settings.CELOMETER_DEFAULTS_DIR)),
                _open_state(),
            )
        except (BadKeyFile, BadDefinitions) as error:
            raise RoleFault(str(error)) from error
        if rules.current().pipelines.needs_state and state is None:
            raise RoleFault("pipeline.yaml has transformers that keep state: expected CELOMETER_STATE_URL, a Redis")
        self.outbox = open_outbox()
        # The outbox may be a node's as well: whoever sends does all that is to be done.
        self.publish = forward_to_all()
        self.sender = Sender(self.outbox, self.publish, keep_seconds=settings.CELOMETER_OUTBOX_KEEP_SECONDS)
        self.transform = Transform(
            outbox=self.outbox,
            key=key,
            trusted=TrustedKeys(key.public, Path(settings.CELOMETER_TRUSTED_KEYS)),
            rules=rules,
            state=state,
            publishers=Publishers(),
            wake=self.sender.wake,
        )
        self._stopping = threading.Event()
        self._flusher = threading.Thread(target=self._flush, name="pipeline-flusher", daemon=True)

    def start(self) -> None:
        self.sender.start()
        self._flusher.start()

    def stop(self) -> None:
        """What is not sent waits in the outbox; publishers get a moment to send what they hold."""
        self._stopping.set()
        self._flusher.join(timeout=5)
        self.sender.stop()
        self.transform.close()
        self.sender.join(timeout=5)

    def _flush(self) -> None:
        while not self._stopping.wait(_FLUSH_SECONDS):
            try:
                self.transform.flush(time.time_ns() // 1000)
            except Exception as error:  # the state or the disk is away: what is held is let go of next time
                logger.error("pipelines could not be flushed: %s: %s", type(error).__name__, error)


def _open_state() -> TransformState | None:
    url = settings.CELOMETER_STATE_URL
    try:
        return TransformState(url) if url else None
    except ValueError as error:
        raise RoleFault(f"CELOMETER_STATE_URL: {error}") from error
