"""Notifications for tests, as the bus would have brought them."""

from __future__ import annotations

from typing import Any

import msgspec

from agents.notifications.notification import Notification
from agents.notifications.times import microseconds_of

SENT_AT = microseconds_of("2026-03-14 09:26:41.220517")
VOLUME = {"volume_id": "v1", "size": 120, "tenant_id": "p1", "user_id": "u1", "display_name": "data"}


def notification(event_type: str = "volume.exists", payload: Any = VOLUME, **more: Any) -> Notification:
    given: dict[str, Any] = {
        "message_id": "m1",
        "origin": "m1",
        "publisher_id": "volume.ctl-01",
        "priority": "INFO",
        "timestamp": SENT_AT,
        "ctxt": {},
        "raw": msgspec.Raw(msgspec.json.encode(payload)),
    }
    return Notification(event_type=event_type, payload=payload, **(given | more))


class Reports(list[tuple[str, str]]):
    """What was reported; called like the function that is reported to."""

    def __call__(self, where: str, what: str) -> None:
        self.append((where, what))
