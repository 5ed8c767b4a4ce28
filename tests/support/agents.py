"""An agent with an enrolled key, for tests that send batches: real keys, real signatures, a real chain."""

from __future__ import annotations

import time
from collections.abc import Sequence
from uuid import uuid4

from metering.messages import Event, Link, Meter, PrivateKey, Resource, Sample, SealedBatch, seal_batch, seal_events
from metering.models import Agent, AgentKey

__all__ = ["CPU", "MEMORY", "EnrolledAgent", "now_microseconds", "some_samples"]

CPU = Meter("cpu", "cumulative", "ns")
MEMORY = Meter("memory", "gauge", "MiB")


def now_microseconds() -> int:
    return time.time_ns() // 1000


def some_samples(
    count: int = 3, *, at: int | None = None, project: str | None = "p1", source: str = "openstack"
) -> list[Sample]:
    """Samples of ``count`` resources, a second apart, going back from ``at``."""
    at = now_microseconds() if at is None else at
    return [
        Sample(
            CPU,
            Resource(
                id=f"vm-{number}",
                source=source,
                project=project,
                user="u1",
                metadata={"name": f"vm {number}"},
            ),
            at - number * 1_000_000,
            str(number + 1),
        )
        for number in range(count)
    ]


class EnrolledAgent:
    """Seals batches as the agent ``name``; each is the next of its stream."""

    def __init__(
        self, name: str = "node-1", *, sources: Sequence[str] = (), projects: Sequence[str] = (), enroll: bool = True
    ) -> None:
        self.name = name
        self.key = PrivateKey.generate()
        self.stream = uuid4()
        self.sequence = 0
        self.previous = ""
        if enroll:
            self.enroll(sources=sources, projects=projects)

    def enroll(self, *, sources: Sequence[str] = (), projects: Sequence[str] = ()) -> AgentKey:
        agent, _ = Agent.objects.get_or_create(name=self.name)
        self.row = AgentKey.objects.create(
            agent=agent,
            key_id=self.key.public.id,
            public_key=self.key.public.raw,
            allowed_sources=list(sources),
            allowed_projects=list(projects),
        )
        return self.row

    def seal(self, contents: Sequence[Sample] | Sequence[Event], *, sealer=seal_batch, **changes) -> SealedBatch:
        """The next batch of this agent's stream; its due time is now unless given."""
        due = changes.pop("due", None) or now_microseconds()
        options = {
            "agent": self.name,
            "source": "compute",
            "due": due,
            "made": now_microseconds(),
            "unit": str(self.sequence),
        }
        sealed = sealer(
            contents,
            key=self.key,
            link=Link(self.stream, self.sequence + 1, self.previous),
            **{**options, **changes},
        )
        self.sequence += 1
        self.previous = sealed.header_digest
        return sealed

    def seal_events(self, events: Sequence[Event], **changes) -> SealedBatch:
        """The same of events."""
        return self.seal(events, sealer=seal_events, **changes)

    def events_message(self, events: Sequence[Event], **changes) -> bytes:
        return self.seal_events(events, **changes).to_bytes()

    def message(self, samples: Sequence[Sample], **changes) -> bytes:
        return self.seal(samples, **changes).to_bytes()
