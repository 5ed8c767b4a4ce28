"""What publishers with a buffer have in common: the worker's thread encodes, their own thread sends."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ...contract import Event, Outgoing, PublisherState
from .address import Address
from .buffer import Buffer, Entry, Limits, Outcome

__all__ = ["BufferedPublisher", "limits_of"]


class BufferedPublisher(ABC):
    """A publisher of the contract; its kind adds ``sample_entry``, ``send`` and, where it takes them, ``event_entry``."""

    def __init__(self, address: Address, limits: Limits) -> None:
        self.address = address
        self._buffer = Buffer(address.shown, self.send, limits)

    @abstractmethod
    def sample_entry(self, outgoing: Outgoing) -> Entry: ...

    def event_entry(self, event: Event) -> Entry:
        raise ValueError(f"{self.address.scheme}:// takes samples only")

    @abstractmethod
    def send(self, batch: Sequence[Entry], timeout_seconds: float) -> Outcome:
        """Called by the sending thread alone. Raises nothing for what can be foreseen; errors name no credentials."""

    def release(self) -> None:  # noqa: B027 - files have nothing to let go of
        """Let go of connections, after the last ``send``."""

    def publish_samples(self, samples: Sequence[Outgoing]) -> None:
        self._add(samples, self.sample_entry)

    def publish_events(self, events: Sequence[Event]) -> None:
        self._add(events, self.event_entry)

    def _add(self, things: Iterable[Any], make_entry: Callable[[Any], Entry]) -> None:
        entries, failed, reason = [], 0, ""
        for thing in things:
            try:
                entries.append(make_entry(thing))
            except Exception as error:  # one that cannot be encoded must not keep the others
                failed, reason = failed + 1, f"it cannot be encoded: {error}"
        self._buffer.add(entries)
        self._buffer.drop(failed, reason)

    def state(self) -> PublisherState:
        return self._buffer.state()

    def close(self, timeout_seconds: float) -> None:
        if self._buffer.close(timeout_seconds):
            self.release()


def limits_of(address: Address) -> Limits:
    """The buffer's bounds and pace as the URL says; names that a scheme does not have keep their defaults."""
    values = address.values
    limits = Limits(entries=values["max_queue_length"])
    if "timeout" in values:
        limits = limits._replace(timeout_seconds=values["timeout"])
    if values.get("max_retries") is not None:
        limits = limits._replace(max_retries=values["max_retries"])
    return limits
