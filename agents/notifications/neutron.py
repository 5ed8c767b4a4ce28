"""Neutron tells several resources that were made in one request in one notification: here they become one for each. Pure.

An event is one project's, and found by its resource: one of several would be found by the first alone, and show its project the others.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .notification import Notification
from .unpacking import MAX_NAME, BadNotification

__all__ = ["each_of"]

# Neutron's API takes requests of 112 KiB: that is enough for some thousand.
_MOST_RESOURCES = 10_000


def each_of(notification: Notification) -> list[Notification]:
    """The notification alone; or one for each resource of ``{networks: [...]}``, as if each had been made by itself.

    The first keeps the message's id, the others have their number behind it: when the message comes again, they are the same. Raises
    BadNotification for more than can have been made in one request.
    """
    kind, _, action = notification.event_type.partition(".")
    if action != "create.end" or not isinstance(notification.payload, dict):
        return [notification]
    resources = notification.payload.get(kind[:-1] + "ies" if kind.endswith("y") else kind + "s")
    if not isinstance(resources, list) or not resources or not all(isinstance(each, dict) for each in resources):
        return [notification]
    if len(resources) > _MOST_RESOURCES:
        raise BadNotification(f"{len(resources)} {kind}s in one notification: expected at most {_MOST_RESOURCES}")
    return [_one(notification, {kind: resource}, number) for number, resource in enumerate(resources)]


def _one(notification: Notification, payload: dict[str, Any], number: int) -> Notification:
    suffix = f"-{number}" if number else ""
    return msgspec.structs.replace(
        notification,
        message_id=notification.message_id[: MAX_NAME - len(suffix)] + suffix,
        origin=notification.origin[: MAX_NAME - len(suffix)] + suffix,
        payload=payload,
        raw=msgspec.Raw(msgspec.json.encode(payload)),
    )
