"""Bundles: what was signed comes back, and nothing else does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.messages import (
    BadBundle,
    Bundle,
    Letter,
    Malformed,
    PrivateKey,
    Refusal,
    is_refusal,
    open_bundle,
    parse_refusal,
    seal_bundle,
)

KEY = PrivateKey.generate()
LETTERS = st.builds(Letter, st.binary(max_size=200), st.text(max_size=20), st.text(max_size=20))
BUNDLES = st.builds(
    Bundle, st.text(max_size=32), st.integers(0, 2**62), st.text(max_size=20), st.lists(LETTERS, max_size=5)
)


def trusted(key_id: str) -> object:
    return KEY.public if key_id == KEY.public.id else None


@given(BUNDLES, st.booleans())
def test_a_bundle_comes_back_as_it_was_sealed(bundle: Bundle, compress: bool) -> None:
    assert open_bundle(seal_bundle(bundle, KEY, compress=compress), find_key=trusted) == bundle


@given(BUNDLES, st.data())
def test_a_bundle_with_any_byte_changed_added_or_missing_is_refused(bundle: Bundle, data: st.DataObject) -> None:
    sealed = seal_bundle(bundle, KEY)
    at = data.draw(st.integers(0, len(sealed) - 1))
    flipped = bytearray(sealed)
    flipped[at] ^= data.draw(st.integers(1, 255))
    for altered in (bytes(flipped), sealed[:at], sealed + b"x"):
        with pytest.raises(BadBundle):
            open_bundle(altered, find_key=trusted)


def test_a_bundle_of_a_key_that_is_not_trusted_is_refused() -> None:
    stranger = PrivateKey.generate()
    sealed = seal_bundle(Bundle("1", 0, "", [Letter(b"{}")]), stranger)
    with pytest.raises(BadBundle, match=stranger.public.id):
        open_bundle(sealed, find_key=trusted)


def test_the_signature_of_a_batch_header_is_none_of_a_bundle() -> None:
    sealed = seal_bundle(Bundle("1", 0, "", []), KEY)
    content = sealed[85:]
    forged = sealed[:21] + KEY.sign(content) + content
    with pytest.raises(BadBundle, match="signature"):
        open_bundle(forged, find_key=trusted)


def test_what_is_not_compressed_can_be_read_by_people() -> None:
    body = b'{"event_type": "image.upload"}'
    assert body in seal_bundle(Bundle("1", 0, "", [Letter(body)]), KEY, compress=False)


@given(st.text(max_size=50), st.text(alphabet=st.characters(), max_size=5000), st.binary(max_size=300))
def test_a_refusal_keeps_its_bytes_and_its_reason(agent: str, detail: str, message: bytes) -> None:
    sent = Refusal(agent, "bad_notification", detail, message).to_bytes()
    assert is_refusal(sent)
    received = parse_refusal(sent)
    assert (received.message, received.reason) == (message, "bad_notification")
    assert received.detail == detail[:4000].encode("utf-8", "backslashreplace").decode()[:4000]


@pytest.mark.parametrize(
    "data", [b"", b"CELR", b"CELR\x01\x00", b"CELR\x01\x00\x00\x00\x02[]", b"CELR\x01\xff\xff\xff\xff{}"]
)
def test_bytes_that_are_no_refusal_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        parse_refusal(data)
