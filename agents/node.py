"""One node's agent, put together from its settings: registry → poller → outbox → sender."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from django.conf import settings

from metering.messages import PrivateKey

from .forwarding import Forwarding
from .keys import load_or_create
from .outbox import Outbox
from .pipeline.files import pipeline_files
from .poller import Poller
from .polling import Polled, Source, load_sources, poll_source
from .registry import load_registry
from .sender import Publish, Sender

__all__ = [
    "Node",
    "config_path",
    "forward_to_all",
    "open_outbox",
    "own_directory",
    "read_key",
    "read_sources",
    "source_reader",
]


def config_path(name: str) -> Path:
    """Where a configuration file is read from: $CELOMETER_CONFIG_DIR if it is there, else the shipped default."""
    directory = own_directory()
    own = directory / name if directory else None
    return own if own and own.exists() else Path(settings.CELOMETER_DEFAULTS_DIR) / name


def own_directory() -> Path | None:
    """Where an operator's files lie, if they have any."""
    return Path(settings.CELOMETER_CONFIG_DIR) if settings.CELOMETER_CONFIG_DIR else None


def read_sources() -> list[Source]:
    """The sources of polling.yaml, with CELOMETER_POLL_INTERVAL applied. Raises BadDefinitions."""
    return load_sources(config_path("polling.yaml"), interval_seconds=settings.CELOMETER_POLL_INTERVAL)


def read_key() -> PrivateKey:
    """This agent's key, made on first use. Raises BadKeyFile."""
    return load_or_create(Path(settings.CELOMETER_AGENT_KEY))


def open_outbox() -> Outbox:
    """This node's outbox."""
    return Outbox(
        settings.CELOMETER_HOME / "agent" / "outbox.sqlite3",
        key=read_key(),
        agent=settings.CELOMETER_NODE,
        max_bytes=settings.CELOMETER_OUTBOX_MAX_BYTES,
    )


def source_reader() -> Callable[[Source], Polled]:
    """What polls a source on this node."""
    registry = load_registry(libvirt_uri=settings.CELOMETER_LIBVIRT_URI)
    return partial(
        poll_source,
        discoveries=registry.discoveries,
        pollsters=registry.pollsters.values(),
        node=settings.CELOMETER_NODE,
    )


def forward_to_all() -> Publish:
    """What sends a message of the outbox wherever it has to go."""
    return Forwarding(pipeline_files(own_directory(), Path(settings.CELOMETER_DEFAULTS_DIR)).current).publish


class Node:
    """The running agent of a node: its threads are started and stopped together."""

    def __init__(self) -> None:
        self.outbox = open_outbox()
        self.sender = Sender(self.outbox, forward_to_all(), keep_seconds=settings.CELOMETER_OUTBOX_KEEP_SECONDS)
        self.poller = Poller(
            [source for source in read_sources() if source.queue == "compute"],
            poll=source_reader(),
            outbox=self.outbox,
            labels=settings.CELOMETER_LABELS,
            on_batch=self.sender.wake,
        )

    def start(self) -> None:
        self.sender.start()
        self.poller.start()

    def stop(self) -> None:
        """Ask both threads to end and give a poll that runs a moment to finish; what is not sent waits in the outbox."""
        self.poller.stop()
        self.sender.stop()
        self.poller.join(timeout=5)
        self.sender.join(timeout=5)
