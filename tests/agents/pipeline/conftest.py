"""Pipelines from YAML as an operator writes it, and a state server of the tests' own keys."""

from __future__ import annotations

from urllib.parse import urlsplit, urlunsplit

import pytest
import redis

from agents.pipeline.definition import load_pipelines
from agents.pipeline.state import TransformState
from agents.pipeline.transformers import load_transformers

NO_EVENTS = "sources: [{name: e, events: ['*'], sinks: [s]}]\nsinks: [{name: s, publishers: ['collector://']}]\n"
SECOND = 1_000_000


@pytest.fixture
def state_url(broker_url):
    """A database of the test run's Valkey that nobody else uses, empty."""
    url = urlunsplit(urlsplit(broker_url)._replace(path="/9"))
    with redis.Redis.from_url(url) as server:
        server.flushdb()
    return url


@pytest.fixture
def state(state_url):
    state = TransformState(state_url)
    yield state
    state.close()


@pytest.fixture
def load(tmp_path):
    """Reads pipeline.yaml (and event_pipeline.yaml) from text; every URL but those with "bad" in them will do."""

    def load_text(text, events=NO_EVENTS):
        paths = tmp_path / "pipeline.yaml", tmp_path / "event_pipeline.yaml"
        for path, content in zip(paths, (text, events), strict=True):
            path.write_text(content)
        return load_pipelines(
            *paths,
            transformers=load_transformers(),
            url_problem=lambda url, **_: f"publisher {url!r}: no such scheme" if "bad" in url else "",
        )

    return load_text
