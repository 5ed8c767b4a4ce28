"""The notifications of a make-believe cloud, as its bus carries them, in the mix that the flow is measured with."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from config.env import REPOSITORY

__all__ = ["MIX", "Kind", "make_bodies"]

_DATA = REPOSITORY / "tests" / "data" / "notifications"


class Kind(NamedTuple):
    """A notification of the mix: so many in a hundred."""

    share: int
    exchange: str
    key: str
    file: str


# What a cloud of many instances says: mostly that they exist, some that they change, and what the other services add.
MIX = (
    Kind(30, "nova", "notifications.info", "legacy/compute.instance.exists.json"),
    Kind(15, "nova", "versioned_notifications.info", "nova-versioned/instance-exists.json"),
    Kind(10, "nova", "versioned_notifications.info", "nova-versioned/instance-update.json"),
    Kind(10, "neutron", "notifications.info", "legacy/port.create.end.json"),
    Kind(15, "cinder", "notifications.info", "legacy/volume.exists.json"),
    Kind(5, "glance", "notifications.info", "legacy/image.upload.json"),
    Kind(10, "swift", "notifications.info", "legacy/objectstore.http.request.json"),
    Kind(5, "keystone", "notifications.info", "legacy/identity.authenticate.json"),
)


def make_bodies(count: int) -> list[tuple[Kind, list[bytes]]]:
    """About ``count`` notifications of the mix as the bus carries them, each of its own, over the last hour."""
    now = datetime.now(UTC)
    return [
        (kind, [_body(_template(kind.file), number, now) for number in range(count * kind.share // 100)])
        for kind in MIX
    ]


def _template(file: str) -> dict[str, Any]:
    return json.loads((_DATA / file).read_text())


def _body(template: dict[str, Any], number: int, now: datetime) -> bytes:
    """One notification: of one of a thousand resources, with an id, a time and a request of its own."""
    at = now - timedelta(seconds=3600 * (number % 997) / 997)
    inner = template | {
        "message_id": str(uuid4()),
        "timestamp": at.replace(tzinfo=None).isoformat(" "),
        "_context_request_id": f"req-{uuid4()}",
    }
    text = json.dumps(inner)
    for name in _ids_of(template["payload"]):
        text = text.replace(name, f"{name[:-4]}{number % 1000:04}")
    return json.dumps({"oslo.version": "2.0", "oslo.message": text}).encode()


def _ids_of(payload: dict[str, Any]) -> list[str]:
    """The ids of the resource that it tells of, in whichever format."""
    data = payload.get("nova_object.data", payload)
    inner = next((data[name] for name in ("port", "target") if isinstance(data.get(name), dict)), data)
    found = [inner.get(name) for name in ("instance_id", "uuid", "volume_id", "id")]
    return [name for name in found if isinstance(name, str) and len(name) > 8]
