"""Which notifier tells, what it may not break, and many attempts at once."""

from __future__ import annotations

import json
import logging
import threading
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from alarms.notifiers import registry
from alarms.notifiers.attempts import Attempts, attempt
from alarms.notifiers.contract import Message, Outcome
from alarms.notifiers.registry import find_notifier, schemes
from alarms.notifiers.test import notifications

BODY = json.dumps({"alarm_name": "disk\nERROR forged line \u2028", "current": "alarm"}).encode()


def tell(url: str, body: bytes = BODY) -> Outcome:
    return attempt(Message(url, body, {"webhook-id": "msg_1"}))


@pytest.mark.parametrize("body", [BODY, b"no JSON\nERROR forged line", b"\xff\xfe"])
def test_log_writes_one_line_whatever_is_in_it(caplog, body: bytes) -> None:
    with caplog.at_level(logging.INFO, "alarms.notifiers.log"):
        assert tell("log://", body).kind == "delivered"
    (record,) = caplog.records
    assert record.levelname == "INFO"
    assert len(record.getMessage().splitlines()) == 1
    assert record.getMessage().isascii()


def test_test_keeps_what_it_is_told() -> None:
    notifications.clear()
    assert tell("test://anything").kind == "delivered"
    assert [message.body for message in notifications] == [BODY]


def test_a_scheme_that_nobody_tells_is_given_up() -> None:
    outcome = tell("zaqar://queue")
    assert outcome.kind == "impossible"
    assert outcome.text == "not told: no notifier for 'zaqar', only for http, https, log, mailto, test"


class Carrier:
    def notify(self, message: Message, *, timeout_seconds: float) -> Outcome:
        if "lost" in message.url:
            raise RuntimeError("the secret of this plugin")
        return Outcome("delivered", "carried")


@pytest.fixture
def plugin(monkeypatch):
    """Another package that brings pigeon://."""
    point = EntryPoint("pigeon", f"{__name__}:Carrier", "celometer.notifiers")
    impostor = EntryPoint("https", f"{__name__}:Carrier", "celometer.notifiers")
    points = EntryPoints([point, impostor])
    monkeypatch.setattr(registry, "entry_points", lambda **wanted: points.select(**wanted))
    find_notifier.cache_clear()
    yield
    find_notifier.cache_clear()


@pytest.mark.usefixtures("plugin")
def test_another_package_brings_a_scheme_and_takes_none_away() -> None:
    assert "pigeon" in schemes()
    assert tell("pigeon://tower").text == "carried"
    assert not isinstance(find_notifier("https"), Carrier)


@pytest.mark.usefixtures("plugin")
def test_a_notifier_that_raises_has_failed_and_says_no_more_than_that() -> None:
    outcome = tell("pigeon://lost")
    assert (outcome.kind, outcome.text) == ("failed", "the notifier failed: RuntimeError")


def test_attempts_are_made_at_once_as_far_as_there_are_places(monkeypatch) -> None:
    over, begun, told = threading.Event(), threading.Semaphore(0), []

    class Slow:
        def notify(self, message: Message, *, timeout_seconds: float) -> Outcome:
            begun.release()
            over.wait(30)
            return Outcome("delivered", message.url)

    monkeypatch.setattr("alarms.notifiers.attempts.find_notifier", lambda scheme: Slow())
    attempts = Attempts(at_once=2)
    for number in range(2):
        attempts.start(Message(f"slow://{number}", BODY, {}), told.append)
    third = threading.Thread(target=attempts.start, args=(Message("slow://2", BODY, {}), told.append))
    third.start()
    assert begun.acquire(timeout=10) and begun.acquire(timeout=10)
    assert not begun.acquire(timeout=0.1), "the third waits for a place"
    over.set()
    third.join(10)
    attempts.finish()
    assert sorted(outcome.text for outcome in told) == ["slow://0", "slow://1", "slow://2"]


def test_a_place_is_free_again_though_its_outcome_could_not_be_told() -> None:
    def fail(outcome: Outcome) -> None:
        raise RuntimeError

    attempts, told = Attempts(at_once=1), []
    attempts.start(Message("log://", BODY, {}), fail)
    attempts.start(Message("log://", BODY, {}), told.append)
    attempts.finish()
    assert len(told) == 1
