"""Servers and publishers that are closed at the end of a test."""

from __future__ import annotations

import contextlib

import pytest

from agents.pipeline.publishers import buffer
from agents.pipeline.publishers.registry import open_publisher

from .web_server import WebServer


@pytest.fixture
def closing():
    """Hand over what has a ``close``, to be closed when the test is over."""
    with contextlib.ExitStack() as stack:

        def add(thing, *arguments):
            stack.callback(thing.close, *arguments)
            return thing

        yield add


@pytest.fixture
def serve(closing):
    """Start a web server: ``serve(500, 200)`` answers so in turn."""
    return lambda *answers, **options: closing(WebServer(*answers, **options))


@pytest.fixture
def publish_to(closing):
    """Open the publisher of a URL."""
    return lambda url: closing(open_publisher(url), 0.1)


@pytest.fixture
def short_pauses(monkeypatch):
    """Tests that try again many times do not wait as long as production does."""
    fast = buffer.Limits._field_defaults | {"first_pause_seconds": 0.01, "longest_pause_seconds": 0.02}
    monkeypatch.setattr(buffer.Limits.__new__, "__defaults__", tuple(fast.values()))
