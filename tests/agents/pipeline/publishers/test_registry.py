"""The publishers of a process: opened when needed, closed when no pipeline names them, none hurt by another."""

from __future__ import annotations

import json
import socket
from importlib.metadata import EntryPoint

import pytest

from agents.contract import PublisherState
from agents.pipeline.publishers import plugins as plugins_module
from agents.pipeline.publishers import registry
from agents.pipeline.publishers.address import BadAddress, url_problem
from agents.pipeline.publishers.registry import Publishers, open_publisher

from .things import event, outgoing, wait_until


@pytest.fixture
def publishers():
    made = Publishers()
    yield made
    made.close(1)


class Memory:
    """A plugin: what another package may bring."""

    schemes = ("memory", "memories")
    made = []

    def __init__(self, url):
        if "closed" in url:
            raise ConnectionError(f"cannot reach {url}")
        self.url, self.samples, self.events, self.is_closed = url, [], [], False
        Memory.made.append(self)

    def publish_samples(self, samples):
        if "broken" in self.url:
            raise RuntimeError("secret")
        self.samples += samples

    def publish_events(self, events):
        self.events += events

    def state(self):
        return PublisherState(len(self.samples) + len(self.events), 0, 0, "")

    def close(self, timeout_seconds):
        self.is_closed = True


class Rival(Memory):
    schemes = ("memory",)


@pytest.fixture
def memory(monkeypatch):
    """Two packages bring publishers, the second one a scheme that is taken; a third cannot be loaded."""
    group = "celometer.publishers"
    points = [EntryPoint(name, f"{__name__}:{name}", group) for name in ("Memory", "Rival", "Missing")]
    monkeypatch.setattr(plugins_module, "entry_points", lambda group: points)
    plugins_module.plugins.cache_clear()
    Memory.made = []
    yield Memory
    plugins_module.plugins.cache_clear()


def test_each_publisher_is_given_what_is_meant_for_it(publishers, tmp_path):
    one, two = f"file://{tmp_path}/one", f"file://{tmp_path}/two"
    publishers.send_samples({one: [outgoing(1)], two: [outgoing(1), outgoing(2)]})
    publishers.send_events({two: [event(3)]})
    publishers.close(5)
    ids = {name: [json.loads(line) for line in (tmp_path / name).read_text().splitlines()] for name in ("one", "two")}
    assert [line["id"] for line in ids["one"]] == ["id-1"]
    assert [line.get("id", line.get("message_id")) for line in ids["two"]] == ["id-1", "id-2", "message-3"]


def test_plugins_are_found_by_their_schemes_and_the_first_of_a_scheme_counts(memory, caplog):
    assert isinstance(open_publisher("memories://x"), Memory)
    assert type(open_publisher("memory://x")) is Memory
    assert url_problem("memory://user:secret@x") == ""
    assert "memories, memory" in url_problem("nothing://x")
    assert "Rival" in caplog.text and "Missing cannot be loaded" in caplog.text


def test_publishers_that_no_pipeline_names_any_more_are_closed(publishers, memory):
    publishers.send_samples({"memory://a": [outgoing()], "memory://b": [outgoing()]})
    publishers.keep_only({"memory://b", "memory://c"})
    assert [(made.url, made.is_closed) for made in Memory.made] == [("memory://a", True), ("memory://b", False)]
    assert list(publishers.states()) == ["memory://b"]
    publishers.send_samples({"memory://a": [outgoing()]})
    assert publishers.states()["memory://a"].sent == 1


def test_one_that_cannot_be_opened_is_told_once_and_tried_again_and_what_was_meant_for_it_is_counted(
    publishers, tmp_path, caplog, monkeypatch
):
    blocker = socket.create_server(("127.0.0.1", 0))
    url = f"prometheus://127.0.0.1:{blocker.getsockname()[1]}"
    good = f"file://{tmp_path}/out"
    for number in range(3):
        publishers.send_samples({url: [outgoing(number), outgoing(-number)], good: [outgoing(number)]})
    assert publishers.states()[url][:3] == (0, 0, 6)
    assert "Address already in use" in publishers.states()[url].error
    assert len([record for record in caplog.records if "cannot be opened" in record.message]) == 1
    wait_until(lambda: publishers.states()[good] == (3, 0, 0, ""))
    blocker.close()
    monkeypatch.setattr(registry, "_TRY_AGAIN_SECONDS", 0)
    publishers._places[url]._open_again_at = 0
    publishers.send_samples({url: [outgoing(7)]})
    assert publishers.states()[url] == (1, 0, 6, "")


def test_a_plugin_that_raises_hurts_no_other(publishers, memory, caplog):
    publishers.send_samples({"memory://broken": [outgoing()], "memory://good": [outgoing()]})
    assert publishers.states() == {
        "memory://broken": (0, 0, 1, "it raised RuntimeError"),
        "memory://good": (1, 0, 0, ""),
    }
    assert "secret" not in caplog.text


def test_places_that_are_dead_in_every_way_hold_up_no_other_and_lose_no_count(publishers, closing, serve, tmp_path):
    silent = closing(socket.create_server(("127.0.0.1", 0)))
    port = silent.getsockname()[1]
    dead = [
        f"http://127.0.0.1:{port}/?timeout=100",
        f"https://127.0.0.1:{port}/?timeout=100",
        f"opentelemetryhttp://127.0.0.1:{port}/?timeout=100",
        f"kafka://127.0.0.1:{port}?timeout=100&max_queue_length=30",
        "tcp://127.0.0.1:1",
        "udp://nobody.invalid",
        f"file://{tmp_path}/not/there",
        f"prometheus://127.0.0.1:{port}",
        "gnocchi://",
    ]
    alive = [f"file://{tmp_path}/out", f"http://127.0.0.1:{serve().port}"]
    for number in range(100):
        publishers.send_samples({url: [outgoing(number)] for url in dead + alive})
        publishers.send_events({url: [event(number)] for url in dead + alive})
    wait_until(lambda: all(publishers.states()[url] == (200, 0, 0, "") for url in alive))
    for url in dead:
        state = publishers.states()[url]
        assert (url, state.sent + state.waiting + state.dropped) == (url, 200)
    publishers.close(0.2)


def test_nothing_secret_is_in_states_reports_or_the_log(publishers, memory, caplog):
    urls = [
        "memory://user:secret@closed?token=secret",
        "memory://other:secret@closed?token=secret",
        "http://user:secret@localhost:99999/",
        "gnocchi://user:secret@x",
    ]
    publishers.send_samples({url: [outgoing()] for url in urls})
    assert list(publishers.states()) == [
        "memory://***@closed?token=***",
        "memory://***@closed?token=*** (2)",
        "http://***@localhost:99999/",
        "gnocchi://***@x",
    ]
    shown = f"{publishers.states()}{publishers.report()}{caplog.text}"
    assert "secret" not in shown and "cannot reach memory://***@closed" in shown


def test_the_report_tells_what_was_dropped_since_the_last_and_what_fails(publishers, tmp_path):
    good, bad, away = f"file://{tmp_path}/out", "gnocchi://", f"file://{tmp_path}/not/there"
    publishers.send_samples({good: [outgoing(1)], bad: [outgoing(1), outgoing(2)], away: [outgoing(1)]})
    wait_until(lambda: publishers.states()[away].error and publishers.states()[good].sent)
    first, second = publishers.report()
    assert first.startswith("publisher gnocchi://: 0 sent, 0 waiting, 2 dropped (2 of them newly); ")
    assert second.startswith(f"publisher {away}: 0 sent, 1 waiting, 0 dropped (0 of them newly); ")
    assert "(0 of them newly)" in publishers.report()[0]


def test_the_collector_is_not_opened_here():
    with pytest.raises(BadAddress, match="goes through the outbox"):
        open_publisher("collector://")
