"""Polls as signed batches: each agent with a key and a stream of its own, as real ones have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID, uuid4

from metering.messages import Link, PrivateKey, Sample, SealedBatch, seal_batch

from .fleet import Poll

__all__ = ["Sealer", "seal_polls"]

_LARGEST = 10_000
_LONGEST_SECONDS = 86_400


class Sealer:
    """Signs for one agent."""

    def __init__(self, agent: str, key: PrivateKey) -> None:
        self.agent = agent
        self._key = key
        self._stream: UUID = uuid4()
        self._sequence = 0
        self._previous = ""

    def seal(self, samples: list[Sample], *, source: str, due: int, unit: str) -> SealedBatch:
        """The agent's next batch; ``due`` in seconds."""
        sealed = seal_batch(
            samples,
            key=self._key,
            agent=self.agent,
            source=source,
            due=due * 1_000_000,
            made=due * 1_000_000,
            link=Link(self._stream, self._sequence + 1, self._previous),
            unit=unit,
        )
        self._sequence += 1
        self._previous = sealed.header_digest
        return sealed


def seal_polls(
    polls: Iterable[Poll], *, keys: Mapping[str, PrivateKey], unit: str, together: bool
) -> Iterator[SealedBatch]:
    """A batch for each poll; ``together``: several of an agent's polls in one, as many as make up some thousand samples or a day."""
    sealers = {agent: Sealer(agent, key) for agent, key in keys.items()}
    waiting: dict[str, Poll] = {}
    for poll in polls:
        if not together:
            yield sealers[poll.agent].seal(poll.samples, source=poll.source, due=poll.due, unit=unit)
            continue
        first = waiting.setdefault(poll.agent, Poll(poll.agent, poll.source, poll.due, []))
        first.samples.extend(poll.samples)
        if len(first.samples) >= _LARGEST or poll.due - first.due >= _LONGEST_SECONDS:
            yield sealers[poll.agent].seal(first.samples, source=first.source, due=first.due, unit=unit)
            del waiting[poll.agent]
    for rest in waiting.values():
        yield sealers[rest.agent].seal(rest.samples, source=rest.source, due=rest.due, unit=unit)
