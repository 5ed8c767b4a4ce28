"""The decimal grammar of volumes."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.messages import BadVolume, volume_text


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30, places=12))
def test_a_decimal_keeps_its_exact_value(value):
    assert Decimal(volume_text(value)) == value


@given(st.integers(-(10**60), 10**60))
def test_an_integer_keeps_its_exact_value(value):
    assert int(volume_text(value)) == value


@given(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30).filter(
        lambda x: x == 0 or abs(x) > 1e-40
    )
)
def test_a_float_becomes_its_shortest_decimal_form(value):
    assert float(volume_text(value)) == value
    assert Decimal(volume_text(value)) == Decimal(repr(value))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (0.1, "0.1"),
        (-0.0, "0"),
        ("1.50", "1.50"),
        (2**63 + 1, "9223372036854775809"),
        ("1e3", "1000"),
        (" 12.5 ", "12.5"),
    ],
)
def test_known_volumes(value, text):
    assert volume_text(value) == text


@pytest.mark.parametrize(
    "value", [True, float("nan"), float("inf"), "NaN", "", "x", "1e99", 10**65, "0." + "1" * 70, None, [1]]
)
def test_what_is_no_finite_number_of_bounded_length_is_refused_by_name(value):
    with pytest.raises(BadVolume, match="expected") as error:
        volume_text(value)
    assert str(value)[:80] in error.value.detail
