"""Events in signed batches: what comes out is what went in, byte for byte, and nothing that breaks the form goes in."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.messages import (
    BadTrait,
    BatchTooLarge,
    Event,
    Link,
    Malformed,
    PrivateKey,
    TamperedBody,
    Trait,
    event_problem,
    open_body,
    parse_batch,
    seal_batch,
    seal_events,
    trait_text,
)
from metering.messages.batch import SealedBatch, _encode_header
from metering.messages.body import compress_body
from metering.messages.event_body import EventBody, encode_event_body
from metering.messages.merkle import hash_bytes_leaf, inclusion_proof, verify_inclusion
from tests.support.strategies import event_lists, events

KEY = PrivateKey.generate()
LINK = Link(UUID(int=7), 1, "")


def event(**changes):
    fields = {
        "id": "m1",
        "type": "image.update",
        "source": "openstack",
        "generated": 1_767_225_600_000_000,
        "traits": [],
    }
    return Event(**{**fields, **changes})


def seal(events, sealer=seal_events):
    return sealer(
        events, key=KEY, agent="listener", source="notifications", due=1_767_225_600_000_000, made=1, link=LINK
    )


@given(event_lists)
def test_what_is_opened_is_what_was_sealed(sent):
    sealed = parse_batch(seal(sent).to_bytes())
    assert sealed.header.kind == "events"
    KEY.public.verify(sealed.signature, sealed.header_bytes)
    body = open_body(sealed)
    assert [
        (*[getattr(got, name) for name in ("id", "type", "source", "generated", "traits")], bytes(got.raw))
        for got in body.events
    ] == [
        (*[getattr(was, name) for name in ("id", "type", "source", "generated", "traits")], bytes(was.raw))
        for was in sent
    ]
    assert body.times == sorted({was.generated for was in sent})


@given(events)
def test_what_can_travel_has_no_problem(sent):
    assert event_problem(sent) == ""


@given(st.lists(events, min_size=1, max_size=8), st.data())
def test_a_short_proof_shows_a_single_event(sent, data):
    body = encode_event_body(sent)[0]
    encoded = [bytes(entry) for entry in msgspec.json.decode(body, type=dict[str, list[msgspec.Raw]])["events"]]
    leaves = [hash_bytes_leaf(entry) for entry in encoded]
    index = data.draw(st.integers(0, len(sent) - 1))
    root = EventBody.decode(body).merkle_root()
    assert verify_inclusion(leaves[index], index=index, size=len(sent), proof=inclusion_proof(leaves, index), root=root)
    other = hash_bytes_leaf(encoded[index] + b" ")
    assert not verify_inclusion(other, index=index, size=len(sent), proof=inclusion_proof(leaves, index), root=root)


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        ("string", "", ""),
        ("string", "x" * 300, "x" * 300),
        ("integer", 2**53 + 1, "9007199254740993"),
        ("integer", -(10**62), "-1" + "0" * 62),
        ("float", 0.1, "0.1"),
        ("float", 5, "5.0"),
        ("float", 1e16, "1e+16"),
        ("float", 5e-324, "5e-324"),
        ("float", -0.0, "0.0"),
        ("datetime", datetime(2014, 1, 1, 5), "2014-01-01T05:00:00"),
        ("datetime", datetime(2014, 1, 1, 5, 0, 0, 5, tzinfo=UTC), "2014-01-01T05:00:00.000005"),
        ("datetime", datetime(2014, 1, 1, 5, tzinfo=timezone(timedelta(hours=2))), "2014-01-01T03:00:00"),
    ],
)
def test_a_value_travels_exactly(kind, value, text):
    assert trait_text(kind, value) == text


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("string", 5), ("integer", "5"), ("integer", True), ("integer", 5.0), ("integer", 10**64), ("float", float("nan")),
        ("float", float("inf")), ("float", "1"), ("float", True), ("float", 10**400), ("datetime", "2014"), ("datetime", 5),
        ("datetime", datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))), ("blob", "x"),
    ],
)  # fmt: skip
def test_a_value_that_is_not_of_the_type_is_refused(kind, value):
    with pytest.raises(BadTrait, match=f"expected a value of the type {kind}"):
        trait_text(kind, value)


BAD = [
    (event(traits=[Trait("n", "integer", text)]), "expected text of the type integer")
    for text in ("", "01", "-0", "+5", "5.0", "1e3", " 5", "٣", "9" * 65)
]
BAD += [
    (event(traits=[Trait("n", "float", text)]), "expected text of the type float")
    for text in ("", "5", "0.10", "-0.0", "nan", "inf", "1e16", "1_0.0", " 0.5")
]
BAD += [
    (event(traits=[Trait("n", "datetime", text)]), "expected text of the type datetime")
    for text in ("", "2014", "2014-01-01", "2014-01-01T05:00:00Z", "2014-01-01T05:00:00+00:00", "2014-01-01 05:00:00",
                 "2014-01-01T05:00:00.000000", "20140101T050000")
]  # fmt: skip
BAD += [
    (event(traits=[Trait("n", "string", "a"), Trait("n", "integer", "5")]), "a trait's name stands twice"),
    (event(traits=[Trait("n", "boolean", "True")]), "Invalid enum value 'boolean'"),
    (event(traits=[Trait("", "string", "x")]), "length >= 1"),
    (event(traits=[Trait("n", "string", "a\x00b")]), "the character NUL"),
    (event(traits=[Trait("n\x00", "string", "")]), "the character NUL"),
    (event(traits=[Trait("project_id", "string", "p" * 256)]), "expected at most 255 characters"),
    (event(traits=[Trait(f"n{number}", "string", "") for number in range(501)]), "length <= 500"),
    (event(traits=[Trait("n", "string", "x" * 70_000)]), "expected at most 65536"),
    (event(id="x" * 256), "length <= 255"),
    (event(id=""), "length >= 1"),
    (event(id="\x00"), "the character NUL"),
    (event(type=""), "length >= 1"),
    (event(source="\x00"), "the character NUL"),
    (event(generated=2**63), "generated"),
    (event(raw=msgspec.Raw(b'"' + b"x" * 2**20 + b'"')), "expected at most 1048576"),
    (event(raw=msgspec.Raw(b'{"a": }')), "malformed"),
    (event(raw=msgspec.Raw(b'"\xff"')), "utf-8"),
    (event(raw=msgspec.Raw(b"")), "alformed"),
]


@pytest.mark.parametrize(("sent", "complaint"), BAD, ids=range(len(BAD)))
def test_an_event_that_breaks_the_form_is_told_to_its_maker_and_refused_by_the_reader(sent, complaint):
    problem = event_problem(sent)
    assert problem and complaint in problem
    with pytest.raises((Malformed, OverflowError), match=re.escape(complaint)):
        EventBody.decode(encode_event_body([event(id="m0"), sent])[0])


def test_a_payload_may_hold_what_no_trait_may():
    assert event_problem(event(raw=msgspec.Raw(b'{"a": "\\u0000", "n": 1e999}'))) == ""


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"{}",
        b'{"events": {}}',
        b'{"events": [1]}',
        b'{"events": [], "meters": []}',
        b'{"events": [{}]}',
        b"\xff",
        b"",
    ],
)
def test_bytes_that_are_no_body_of_events_are_malformed(data):
    with pytest.raises(Malformed):
        EventBody.decode(data)


def test_an_event_with_a_key_that_nobody_reads_is_malformed():
    encoded = json.loads(encode_event_body([event()])[0])
    encoded["events"][0]["hidden"] = 1
    with pytest.raises(Malformed, match="unknown field"):
        EventBody.decode(json.dumps(encoded).encode())


def test_any_change_of_a_body_is_found():
    sealed = seal([event(raw=msgspec.Raw(b'{"a": 1}'))])
    changed = compress_body(encode_event_body([event(raw=msgspec.Raw(b'{"a":  1}'))])[0])
    with pytest.raises(TamperedBody):
        open_body(sealed._replace(body=changed))


def test_a_header_of_one_kind_does_not_open_a_body_of_the_other():
    for sealed, kind in ((seal([event()]), "samples"), (seal([], seal_batch), "events")):
        header = msgspec.structs.replace(sealed.header, kind=kind)
        header_bytes = _encode_header(header)
        with pytest.raises(Malformed):
            open_body(SealedBatch(header, header_bytes, KEY.sign(header_bytes), sealed.body))


def test_a_batch_too_large_is_to_be_split():
    with pytest.raises(BatchTooLarge, match="50001 events"):
        seal([event()] * 50_001)


def test_whose_an_event_is_only_string_traits_say():
    assert event(traits=[Trait("project_id", "string", "p"), Trait("user_id", "integer", "5")]).owner() == ("p", None)
    assert event(traits=[Trait("project_id", "string", "")]).owner() == (None, None)
