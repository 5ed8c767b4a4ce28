"""A batch: round trip, and every byte of it bound by the signature."""

from __future__ import annotations

from hashlib import sha256
from uuid import UUID

import msgspec
import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.messages import (
    BadSignature,
    Body,
    Link,
    Malformed,
    MessageRefused,
    Meter,
    Origin,
    PrivateKey,
    Resource,
    Sample,
    TamperedBody,
    UnsupportedVersion,
    batch_of,
    derive_batch_id,
    open_body,
    parse_batch,
    position_of,
    sample_id,
    seal_batch,
)
from metering.messages.body import MAX_BODY_BYTES, compress_body, encode_body
from metering.messages.merkle import inclusion_proof, root_of, verify_inclusion
from tests.support.strategies import sample_lists

KEY = PrivateKey.generate()
STREAM = UUID("12345678-1234-4234-8234-123456789abc")
DUE = 1_700_000_000_000_000
CPU = Meter("cpu", "cumulative", "ns")
VM = Resource(id="vm-1", source="openstack", project="p", user="u", metadata={"flavor": {"name": "small"}})


def seal(samples, **changes):
    options = {"key": KEY, "agent": "node", "source": "compute", "due": DUE, "made": DUE, "link": Link(STREAM, 1, "")}
    return seal_batch(samples, **{**options, **changes})


def open_message(message: bytes) -> Body:
    """What the server does: parse, verify, open."""
    batch = parse_batch(message)
    KEY.public.verify(batch.signature, batch.header_bytes)
    return open_body(batch)


def resign(message: bytes, change) -> bytes:
    """The message with another header, validly signed: what a hostile owner of a key can make."""
    batch = parse_batch(message)
    header = msgspec.to_builtins(batch.header)
    change(header)
    header_bytes = msgspec.json.encode(header)
    return batch._replace(header_bytes=header_bytes, signature=KEY.sign(header_bytes)).to_bytes()


@given(sample_lists)
def test_what_is_sealed_is_what_is_opened(samples):
    assert open_message(seal(samples).to_bytes()).samples() == samples


def test_each_meter_and_resource_stands_once_in_the_body():
    same = Resource(id="vm-1", source="openstack", project="p", user="u", metadata={"flavor": {"name": "small"}})
    body = Body.decode(encode_body([Sample(CPU, VM, 1, "1"), Sample(Meter("cpu", "cumulative", "ns"), same, 2, "2")]))
    assert (len(body.meters), len(body.resources), len(body.rows)) == (1, 1, 2)


@settings(max_examples=300)
@given(sample_lists.filter(len), st.data())
def test_any_changed_byte_is_refused(samples, data):
    message = bytearray(seal(samples).to_bytes())
    at = data.draw(st.integers(0, len(message) - 1), label="at")
    message[at] ^= data.draw(st.integers(1, 255), label="flip")
    with pytest.raises(MessageRefused):
        open_message(bytes(message))


@given(sample_lists, st.binary(min_size=1, max_size=9))
def test_any_added_or_missing_byte_is_refused(samples, extra):
    message = seal(samples).to_bytes()
    for changed in (message + extra, extra + message, message[: -len(extra)], message[len(extra) :]):
        with pytest.raises(MessageRefused):
            open_message(changed)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_refused(garbage):
    for message in (garbage, b"CELO" + garbage, b"CELO\x01" + garbage):
        with pytest.raises(MessageRefused):
            open_message(message)


def test_a_signature_of_another_key_is_refused():
    batch = parse_batch(seal([Sample(CPU, VM, DUE, "1")]).to_bytes())
    with pytest.raises(BadSignature, match=KEY.public.id):
        KEY.public.verify(PrivateKey.generate().sign(batch.header_bytes), batch.header_bytes)


def test_a_signature_over_the_same_bytes_for_another_use_is_refused():
    batch = parse_batch(seal([]).to_bytes())
    with pytest.raises(BadSignature):
        KEY.public.verify(KEY._key.sign(batch.header_bytes), batch.header_bytes)


def _with_body(plain: bytes, **changes) -> bytes:
    """A batch validly signed over any body at all."""
    body = changes.pop("body", None) or compress_body(plain)
    sealed = seal([Sample(CPU, VM, DUE, "1")])
    facts = {"body_sha256": sha256(body).hexdigest(), "body_bytes": len(plain), **changes}
    return resign(sealed._replace(body=body).to_bytes(), lambda header: header.update(facts))


def _plain(
    meter: bytes = b'{"name":"a","type":"gauge","unit":"B"}',
    resource: bytes = b'{"id":"a","source":"s"}',
    samples: bytes = b'[0,0,1,"1"]',
) -> bytes:
    return b'{"meters":[%s],"resources":[%s],"samples":[%s]}' % (meter, resource, samples)


@pytest.mark.parametrize(
    ("plain", "refusal"),
    [
        (b'{"meters":[],"resources":[],"samples":[],"more":1}', "more"),
        (b'{"meters":[],"resources":[]}', "samples"),
        (b'{"meters":[],"resources":[],"samples":[[0,0,1,"1"]]}', "does not list"),
        (_plain(meter=b'{"name":"a","type":"gauge","unit":"B","x":1}'), "unknown field `x`"),
        (_plain(meter=b'{"name":"a","type":"meter","unit":"B"}'), "Invalid enum value 'meter'"),
        (_plain(meter=b'{"name":"","type":"gauge","unit":"B"}'), "length >= 1"),
        (b'{"meters":[],"resources":[],"samples":[[0,0,1,1]]}', "str"),
        (b'{"meters":[],"resources":[],"samples":[[0,0,1,"1e5"]]}', "matching regex"),
        (b'{"meters":[],"resources":[],"samples":[[0,0,1,"-0"]]}', "matching regex"),
        (b'{"meters":[],"resources":[],"samples":[[0,0,9223372036854775808,"1"]]}', "9223372036854775807"),
        (b'{"meters":[],"resources":[{"id":"a\\u0000","source":"s"}],"samples":[]}', "NUL"),
        (b'{"meters":[],"resources":[{"id":"a","source":"s"}],"samples":[]}', "more meters or resources than"),
        (_plain(resource=b'{"id":"a","source":"s","metadata":{"a":"' + b"x" * 70_000 + b'"}}'), "at most 65536"),
        (_plain(samples=b",".join([b'[0,0,1,"1"]'] * 50_001)), "at most 50000"),
        (b'{"meters":[],"resources":[],"samples":[],"origins":[["k",1]]}', "origins"),
        (b'{"meters":[],"resources":[],"samples":[],"origins":[["k",0]]}', ">= 1"),
        (b"[" * 100_000, "body"),
    ],
)
def test_a_body_that_breaks_its_form_is_refused_even_when_signed(plain, refusal):
    with pytest.raises(Malformed, match=refusal):
        open_message(_with_body(plain, count=0))


def test_an_escaped_backslash_before_u0000_is_no_nul():
    resource = Resource(id="a\\u0000", source="s")
    assert open_message(seal([Sample(CPU, resource, 1, "1")]).to_bytes()).resources == [resource]


def test_bytes_after_the_zstd_frame_are_refused_even_when_signed():
    plain = encode_body([Sample(CPU, VM, DUE, "1")])
    with pytest.raises(TamperedBody, match="after its zstd frame"):
        open_message(_with_body(plain, body=compress_body(plain) + b"\x00"))


def test_a_second_zstd_frame_is_refused_even_when_signed():
    plain = encode_body([Sample(CPU, VM, DUE, "1")])
    with pytest.raises(TamperedBody):
        open_message(_with_body(plain, body=compress_body(plain) + compress_body(plain)))


def test_a_body_that_unpacks_to_more_than_stated_is_stopped_early():
    bomb = zstd.compress(b" " * (4 * MAX_BODY_BYTES))
    with pytest.raises(TamperedBody, match="does not unpack"):
        open_message(_with_body(b"", body=bomb, body_bytes=1000))


def test_a_size_above_the_bound_is_refused_before_anything_is_unpacked():
    with pytest.raises(Malformed, match="body_bytes"):
        open_message(_with_body(b"", body_bytes=MAX_BODY_BYTES + 1))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"count": 2}, TamperedBody),
        ({"root": "0" * 64}, TamperedBody),
        ({"body_sha256": "0" * 64}, TamperedBody),
        ({"id": "018bcfe5-6800-7000-8000-000000000000"}, Malformed),
        ({"due": DUE + 1}, Malformed),
        ({"unit": "other"}, Malformed),
        ({"agent": "another"}, Malformed),
        ({"kind": "songs"}, UnsupportedVersion),
        ({"version": 2}, UnsupportedVersion),
        ({"surprise": 1}, Malformed),
        ({"sequence": 0}, Malformed),
        ({"previous": "xyz"}, Malformed),
        ({"agent": "a\x00"}, Malformed),
    ],
)
def test_a_header_that_does_not_describe_its_body_is_refused_even_when_signed(change, error):
    message = seal([Sample(CPU, VM, DUE, "1")]).to_bytes()
    with pytest.raises(error):
        open_message(resign(message, lambda header: header.update(change)))


# The collisions of a signature over joined fields (DESIGN §5): each pair must be two different things here.
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"ab": "c"}, {"a": "bc"}),
        ({"a": {"b": "x"}}, {"a:b": "x"}),
        ({"a": {"b": "x"}}, {"a.b": "x"}),
        ({"a": 1}, {"a": "1"}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"a": 1.0}),
        ({"a": None}, {"a": "None"}),
        ({"a": None}, {}),
        ({"a": {}}, {}),
        ({"a": "1", "b": "2"}, {"a": "1b2"}),
        ({"a": ["x"]}, {"a": "['x']"}),
    ],
)
def test_metadata_that_old_signatures_confused_differs(one, other):
    def sealed(metadata):
        return seal([Sample(CPU, Resource(id="r", source="s", metadata=metadata), DUE, "1")]).header

    assert sealed(one).root != sealed(other).root
    assert sealed(one).body_sha256 != sealed(other).body_sha256


@pytest.mark.parametrize(("one", "other"), [("1", "1.0"), ("1", "10"), ("0.1", "0.10")])
def test_volumes_written_differently_differ(one, other):
    assert seal([Sample(CPU, VM, DUE, one)]).header.root != seal([Sample(CPU, VM, DUE, other)]).header.root


@given(sample_lists.filter(len), st.data())
def test_inclusion_is_proved_for_every_sample_and_no_other(samples, data):
    batch = seal(samples)
    leaves = open_body(batch).leaves()
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = inclusion_proof(leaves, index), bytes.fromhex(batch.header.root)
    for claimed in range(len(leaves)):
        fits = verify_inclusion(leaves[claimed], index=index, size=len(leaves), proof=proof, root=root)
        assert fits == (leaves[claimed] == leaves[index])
    assert not verify_inclusion(sha256(b"none").digest(), index=index, size=len(leaves), proof=proof, root=root)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40, unique=True), st.data())
def test_a_proof_fits_one_position_of_one_tree(leaves, data):
    index = data.draw(st.integers(0, len(leaves) - 1))
    proof, root = inclusion_proof(leaves, index), root_of(leaves)
    assert verify_inclusion(leaves[index], index=index, size=len(leaves), proof=proof, root=root)
    for other in range(len(leaves) + 2):
        if other != index:
            assert not verify_inclusion(leaves[index], index=other, size=len(leaves), proof=proof, root=root)
    assert not verify_inclusion(leaves[index], index=index, size=len(leaves), proof=[*proof, b"\0" * 32], root=root)


def test_the_root_is_that_of_the_rfc():
    a, b, c = (sha256(b"\x00" + part).digest() for part in (b"a", b"b", b"c"))
    pair = sha256(b"\x01" + a + b).digest()
    assert root_of([a, b, c]) == sha256(b"\x01" + pair + c).digest()
    assert root_of([]) == sha256(b"").digest()


@given(sample_lists)
def test_the_same_poll_done_twice_is_one_batch(samples):
    first = seal(samples, made=DUE + 1, link=Link(STREAM, 1, ""))
    again = seal([], made=DUE + 9, link=Link(STREAM, 7, "0" * 64))
    assert first.header.id == again.header.id


@given(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
def test_other_work_is_another_batch_however_the_names_are_cut(agent, source, unit, more):
    one = derive_batch_id(agent=agent + more, source=source, due=DUE, unit=unit)
    other = derive_batch_id(agent=agent, source=more + source, due=DUE, unit=unit)
    assert (one == other) == (agent + more == agent and more + source == source)


def test_ids_are_uuids_of_version_7_in_order_of_their_due_time():
    ids = [derive_batch_id(agent="a", source="s", due=DUE + step * 1000, unit="") for step in range(50)]
    assert ids == sorted(ids)
    assert {(i.version, i.variant) for i in ids} == {(7, "specified in RFC 4122")}
    assert all(i.int & 0xFFFFF == 0 for i in ids)


@given(st.integers(0, 2**20 - 1))
def test_a_samples_id_tells_its_batch_and_position(position):
    batch = derive_batch_id(agent="a", source="s", due=DUE, unit="")
    assert (batch_of(sample_id(batch, position)), position_of(sample_id(batch, position))) == (batch, position)


def test_origins_travel_with_the_samples_made_from_them():
    batch = seal([Sample(CPU, VM, DUE, "1"), Sample(CPU, VM, DUE, "2")], origins=[Origin("message-1", 2)])
    assert open_message(batch.to_bytes()).origins == [("message-1", 2)]
