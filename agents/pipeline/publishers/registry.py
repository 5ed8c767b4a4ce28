"""The publishers that pipelines name, by URL: opened when first needed, closed when no pipeline names them any more."""

from __future__ import annotations

import importlib
import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

from ...contract import Event, Outgoing, Publisher, PublisherState
from .address import BadAddress, masked, parse_address, shown_url
from .plugins import plugins

__all__ = ["Publishers", "open_publisher"]

logger = logging.getLogger(__name__)

_TRY_AGAIN_SECONDS = 30.0
_CLOSE_SECONDS = 5.0
# Imported when a pipeline names them: a worker does without the libraries that it has no use for.
_BUILT_IN = {
    "file": "file:FilePublisher",
    "http": "http:HttpPublisher",
    "https": "http:HttpPublisher",
    "kafka": "kafka:KafkaPublisher",
    "opentelemetryhttp": "opentelemetry:OpenTelemetryPublisher",
    "opentelemetryhttps": "opentelemetry:OpenTelemetryPublisher",
    "prometheus": "prometheus:PrometheusPublisher",
    "tcp": "tcp:TcpPublisher",
    "udp": "udp:UdpPublisher",
}


def open_publisher(url: str) -> Publisher:
    """Make the publisher of a URL. Raises BadAddress, and whatever else keeps it from opening (OSError, ImportError, a plugin's own).

    ``collector://`` is no publisher of this kind: what goes there is stored exactly once, by the outbox.
    """
    scheme = parse_address(url).scheme
    if scheme in _BUILT_IN:
        module, _, name = _BUILT_IN[scheme].partition(":")
        publisher_class: Callable[[str], Publisher] = getattr(importlib.import_module(f".{module}", __package__), name)
    elif scheme in plugins():
        publisher_class = plugins()[scheme]
    else:
        raise BadAddress(
            f"publisher {shown_url(url)!r}: {scheme}:// goes through the outbox, no publisher is opened for it"
        )
    return publisher_class(url)


class Publishers:
    """The publishers of this process. Nothing here raises or waits for a place, but ``close`` and ``keep_only`` for as long as they may.

    What goes to ``collector://`` is not given here. Sending, keeping and closing are one thread's work; ``states`` and ``report`` may be
    asked for from another.
    """

    def __init__(self) -> None:
        self._places: dict[str, _Place] = {}

    def send_samples(self, by_url: Mapping[str, Sequence[Outgoing]]) -> None:
        """Hand each publisher its samples."""
        for url, samples in by_url.items():
            self._place(url).give(samples, lambda publisher: publisher.publish_samples)

    def send_events(self, by_url: Mapping[str, Sequence[Event]]) -> None:
        """Hand each publisher its events."""
        for url, events in by_url.items():
            self._place(url).give(events, lambda publisher: publisher.publish_events)

    def keep_only(self, urls: Collection[str]) -> None:
        """Close the publishers of all other URLs, all at once, within a few seconds: what still waits there is sent or dropped."""
        gone = [self._places.pop(url) for url in list(self._places) if url not in urls]
        _close_all(gone, _CLOSE_SECONDS)

    def states(self) -> dict[str, PublisherState]:
        """By URL, without credentials; two that look the same then are numbered."""
        states: dict[str, PublisherState] = {}
        for place in list(self._places.values()):
            name, number = place.shown, 1
            while name in states:
                number += 1
                name = f"{place.shown} ({number})"
            states[name] = place.state()
        return states

    def report(self) -> list[str]:
        """A line for each publisher that fails now, or dropped something since the last report."""
        return [line for place in list(self._places.values()) if (line := place.report())]

    def close(self, timeout_seconds: float) -> None:
        """Close all at once; what cannot be sent in that time is dropped."""
        places, self._places = list(self._places.values()), {}
        _close_all(places, timeout_seconds)

    def _place(self, url: str) -> _Place:
        if url not in self._places:
            self._places[url] = _Place(url)
        return self._places[url]


class _Place:
    """A URL and its publisher, which may not be open yet: what is meant for it meanwhile is dropped and counted."""

    def __init__(self, url: str) -> None:
        self.shown = shown_url(url)
        self._url = url
        self._publisher: Publisher | None = None
        self._dropped = 0
        self._error = ""
        self._open_again_at = 0.0
        self._reported = 0

    def give(self, things: Sequence[Any], method_of: Callable[[Publisher], Callable[[Sequence[Any]], None]]) -> None:
        publisher = self._opened()
        if not publisher:
            self._dropped += len(things)
            return
        try:
            method_of(publisher)(things)
        except Exception as error:  # a plugin that breaks the contract: the other publishers go on
            self._error = f"it raised {type(error).__name__}"
            self._dropped += len(things)
        else:
            self._error = ""

    def _opened(self) -> Publisher | None:
        now = time.monotonic()
        if self._publisher or now < self._open_again_at:
            return self._publisher
        try:
            self._publisher = open_publisher(self._url)
        except (
            Exception
        ) as error:  # a port in use, a file that is not there, a library that is missing, whatever a plugin raises
            self._open_again_at = now + _TRY_AGAIN_SECONDS
            problem = masked(_reason(error), self._url)
            if problem != self._error:
                logger.error("publisher %s cannot be opened, what is meant for it is dropped: %s", self.shown, problem)
            self._error = problem
        else:
            if self._error:
                logger.info("publisher %s is open", self.shown)
            self._error = ""
        return self._publisher

    def state(self) -> PublisherState:
        if not self._publisher:
            return PublisherState(0, 0, self._dropped, self._error)
        try:
            sent, waiting, dropped, error = self._publisher.state()
        except Exception as error:  # a plugin that breaks the contract
            return PublisherState(0, 0, self._dropped, f"its state raised {type(error).__name__}")
        return PublisherState(sent, waiting, dropped + self._dropped, error or self._error)

    def report(self) -> str:
        sent, waiting, dropped, error = self.state()
        newly, self._reported = dropped - self._reported, dropped
        if not newly and not error:
            return ""
        text = f"publisher {self.shown}: {sent} sent, {waiting} waiting, {dropped} dropped ({newly} of them newly)"
        return f"{text}; {error}" if error else text

    def close(self, timeout_seconds: float) -> None:
        if self._publisher:
            try:
                self._publisher.close(timeout_seconds)
            except Exception as error:
                logger.error("publisher %s cannot be closed: %s", self.shown, type(error).__name__)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return str(error) or type(error).__name__


def _close_all(places: Iterable[_Place], timeout_seconds: float) -> None:
    threads = [threading.Thread(target=place.close, args=(timeout_seconds,), daemon=True) for place in places]
    for thread in threads:
        thread.start()
    give_up_at = time.monotonic() + timeout_seconds + 1.0
    for thread in threads:
        thread.join(max(0.0, give_up_at - time.monotonic()))
