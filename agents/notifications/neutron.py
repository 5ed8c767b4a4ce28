"""Neutron tells several resources that were made in one request in one notification: here they become one for each. Pure.

An event is one project's, and found by its resource: one of several would be found by the first alone, and show its project the others.
"""

from __future__ import annotations

from typing import Any

import msgspec

from .notification import Notification

__all__ = ["each_of"]


def each_of(notification: Notification) -> list[Notification]:
    """The notification alone; or one for each resource of ``{networks: [...]}``, as if each had been made by itself.

    The first keeps the message's id, the others have their number behind it: when the message comes again, they are the same.
    """
    kind, _, action = notification.event_type.partition(".")
    if action != "create.end" or not isinstance(notification.payload, dict):
        return [notification]
    resources = notification.payload.get(kind[:-1] + "ies" if kind.endswith("y") else kind + "s")
    if not isinstance(resources, list) or not resources or not all(isinstance(each, dict) for each in resources):
        return [notification]
    return [_one(notification, {kind: resource}, number) for number, resource in enumerate(resources)]


def _one(notification: Notification, payload: dict[str, Any], number: int) -> Notification:
    suffix = f"-{number}" if number else ""
    return msgspec.structs.replace(
        notification,
        message_id=notification.message_id + suffix,
        origin=notification.origin + suffix,
        payload=payload,
        raw=msgspec.Raw(msgspec.json.encode(payload)),
    )
