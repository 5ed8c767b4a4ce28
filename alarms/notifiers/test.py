"""``test://``: kept in this process's memory, for tests of whatever makes notifications."""

from __future__ import annotations

from .contract import Message, Outcome

__all__ = ["TestNotifier", "notifications"]

notifications: list[Message] = []
_KEPT = 1000


class TestNotifier:
    # pytest would take it for a test.
    __test__ = False

    def notify(self, message: Message, *, timeout_seconds: float) -> Outcome:
        notifications.append(message)
        del notifications[:-_KEPT]
        return Outcome("delivered", "kept in memory")
