"""``log://``: one line in the notifier's log."""

from __future__ import annotations

import json
import logging

from .contract import Message, Outcome

__all__ = ["LogNotifier"]

logger = logging.getLogger(__name__)


class LogNotifier:
    def notify(self, message: Message, *, timeout_seconds: float) -> Outcome:
        try:
            # ASCII on one line, whatever is in it: nobody can write a second one.
            line = json.dumps(json.loads(message.body))
        except ValueError:
            line = repr(message.body)
        logger.info("alarm: %s", line)
        return Outcome("delivered", "written to the log")
