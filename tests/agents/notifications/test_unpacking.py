"""From the bytes of a message to a notification: both envelopes, and nothing secret stays."""

from __future__ import annotations

import bz2
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.notifications.unpacking import BadNotification, unpack, without_secrets
from metering.messages import Letter

INNER: dict[str, Any] = {
    "message_id": "m-1",
    "publisher_id": "image.glance-1",
    "event_type": "image.upload",
    "priority": "INFO",
    "payload": {"id": "i-1", "size": 9007199254740993, "ratio": 0.10},
    "timestamp": "2026-03-14 09:26:41.220517",
    "_context_request_id": "req-1",
    "_context_project_id": None,
    "_unique_id": "abc",
}


def wired(inner: dict[str, Any] | str, version: str = "2.0") -> bytes:
    text = inner if isinstance(inner, str) else json.dumps(inner)
    return json.dumps({"oslo.version": version, "oslo.message": text}).encode()


def test_the_message_in_an_envelope_and_the_bare_one_are_the_same_notification() -> None:
    enveloped, bare = unpack(Letter(wired(INNER))), unpack(Letter(json.dumps(INNER).encode()))
    assert enveloped == bare
    assert enveloped.timestamp == 1_773_480_401_220_517
    assert (enveloped.message_id, enveloped.origin, enveloped.priority) == ("m-1", "m-1", "INFO")
    assert enveloped.ctxt == {"request_id": "req-1", "project_id": None}
    assert enveloped.payload["size"] == 9007199254740993


def test_the_raw_payload_is_byte_for_byte_what_was_sent() -> None:
    text = json.dumps(INNER).replace('"payload": {', '"payload": {  "spaced" :1.50, ')
    assert bytes(unpack(Letter(wired(text))).raw).startswith(b'{  "spaced" :1.50, "id"')


def test_tokens_and_partial_passwords_are_not_kept() -> None:
    inner = INNER | {
        "event_type": "identity.authenticate",
        "payload": {"outcome": "failure", "attachments": [{"content": "partial hash"}]},
        "_context_auth_token": "gAAA-token",
        "_context_service_catalog": [{"type": "compute"}],
    }
    notification = unpack(Letter(wired(inner)))
    assert "gAAA-token" not in repr(notification)
    assert "partial hash" not in repr(notification)
    assert "service_catalog" not in notification.ctxt


def test_a_kept_message_hides_its_token_in_either_form() -> None:
    inner = INNER | {"_context_auth_token": "gAAA-token", "_context_user": "u"}
    for body in (wired(inner), json.dumps(inner).encode()):
        hidden = without_secrets(Letter(body)).body
        assert b"gAAA-token" not in hidden
        assert len(json.loads(hidden)) == len(json.loads(body)), "the rest is as it was"


@pytest.mark.parametrize(("kind", "make"), [("application/x-gzip", zlib.compress), ("application/x-bz2", bz2.compress)])
def test_a_compressed_message_is_unpacked(kind: str, make: Any) -> None:
    assert unpack(Letter(make(wired(INNER)), compression=kind)) == unpack(Letter(wired(INNER)))


def test_a_bomb_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(BadNotification, match="bytes when unpacked"):
        unpack(Letter(zlib.compress(b" " * 64_000_000), compression="application/x-gzip"))


def test_the_priority_of_the_routing_key_stands_in_for_a_missing_one() -> None:
    inner = {name: value for name, value in INNER.items() if name != "priority"}
    assert unpack(Letter(wired(inner), routing_key="notifications.error")).priority == "ERROR"
    assert unpack(Letter(wired(inner))).priority == "INFO"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"timestamp": "yesterday"}, "timestamp 'yesterday'"),
        ({"timestamp": None}, "timestamp None"),
        ({"message_id": ""}, "message_id ''"),
        ({"message_id": "x" * 256}, "at most 255"),
        ({"event_type": 7}, "event_type"),
        ({"publisher_id": {}}, "publisher_id"),
    ],
)
def test_a_message_that_is_no_notification_is_refused_with_the_reason(change: dict[str, Any], told: str) -> None:
    with pytest.raises(BadNotification, match=told):
        unpack(Letter(wired(INNER | change)))


@pytest.mark.parametrize("body", [b"", b"\xff", b"[]", b"null", wired(INNER, "3.0"), wired("no JSON"), b"[" * 100_000])
def test_a_body_that_cannot_be_read_is_refused(body: bytes) -> None:
    with pytest.raises(BadNotification):
        unpack(Letter(body))


@given(st.binary(max_size=300), st.sampled_from(["", "application/x-gzip", "application/x-bz2", "lz4"]))
def test_any_bytes_are_a_notification_or_refused(body: bytes, compression: str) -> None:
    with pytest.raises(BadNotification):
        unpack(Letter(body, compression=compression))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_any_payload_is_taken(payload: Any) -> None:
    letter = Letter(wired(INNER | {"payload": payload}))
    try:
        assert json.loads(bytes(unpack(letter).raw)) == payload
    except BadNotification as refusal:
        # Half of a surrogate pair is no Unicode; integers beyond 64 bits are no JSON number of ours.
        assert "surrogate" in refusal.detail or "range" in refusal.detail or "number" in refusal.detail.lower()
