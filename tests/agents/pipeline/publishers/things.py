"""What the tests of publishers publish, and how they wait for what a thread does."""

from __future__ import annotations

import time
from collections.abc import Callable

import msgspec

from agents.contract import Event, Meter, Outgoing, Resource, Sample
from metering.messages import Trait

AT = 1_700_000_000_000_000
AT_TEXT = "2023-11-14T22:13:20.000000+00:00"


def outgoing(
    number: int = 1,
    *,
    volume: str = "1",
    meter: str = "cpu",
    type: str = "gauge",  # the field's own word
    unit: str = "ns",
    resource: str = "vm-1",
    project: str | None = "p1",
    user: str | None = "u1",
    source: str = "openstack",
    timestamp: int = AT,
    metadata: dict | None = None,
) -> Outgoing:
    sample = Sample(
        Meter(meter, type, unit), Resource(resource, source, project, user, metadata or {}), timestamp, volume
    )
    return Outgoing(f"id-{number}", sample)


def event(number: int = 1, *, raw: bytes = b'{"payload": {"size": 1.50}}') -> Event:
    return Event(
        id=f"message-{number}",
        type="volume.create.end",
        source="openstack",
        generated=AT,
        traits=[Trait("size", "integer", "1"), Trait("name", "string", "é")],
        raw=msgspec.Raw(raw),
    )


def wait_until(condition: Callable[[], object], *, seconds: float = 20.0) -> None:
    """Return when the condition holds; fail when it never does. The bound is far above what any test needs."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "it never came true"
        time.sleep(0.01)


def given(publisher) -> int:
    """All that a publisher was given, as its state counts it."""
    state = publisher.state()
    return state.sent + state.waiting + state.dropped
