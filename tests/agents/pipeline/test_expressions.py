"""The arithmetic of pipeline.yaml."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agents.contract import Meter, Resource, Sample
from agents.pipeline.exact import CalculationFailed, calculate
from agents.pipeline.expressions import BadExpression, compile_expression
from metering.messages import volume_text
from metering.messages.volumes import VOLUME_MAX_LENGTH


def sample(volume="1", metadata=None):
    return Sample(Meter("cpu", "gauge", ""), Resource("r", "s", metadata=metadata or {}), 0, volume)


def evaluate(text, volume="7", **metadata):
    expression = compile_expression(text, of_meters=False)
    return calculate(lambda: expression.evaluate({"": sample(volume, metadata)}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("volume * 1.0 / 1024", "0.0068359375"),
        ("100.0 / (10**9 * (resource_metadata.cpu_number or 1))", "0.0000001"),
        ("-volume + +2 - (3)", "-8"),
        ("volume // 2 * 10 + volume % 2", "31"),
        ("-volume // 2", "-4"),
        ("-volume % 3", "2"),
        ("volume % -3", "-2"),
        ("2 ** -2", "0.25"),
        ("2 ** 0.5", "1.414213562373095048801688724"),
        ("1 / 3", "0.3333333333333333333333333333"),
        ("1 / 3 * 3", "1"),
        ("2.0", "2"),
        ("0.1 + 0.2", "0.3"),
        ("1_000", "1000"),
        ("0x10", "16"),
        ("volume > 6 and 5", "5"),
        ("volume <= 6 or 5", "5"),
        ("not volume", "0"),
        ("(volume != 7) + (volume == 7) * 2", "2"),
        ("1e-70", "0"),
        ("1e30", "1000000000000000000000000000000"),
        ("0.123456789012345678901234567890123456789", "0.123456789012345678901234567890123456789"),
    ],
)
def test_expressions_calculate_as_python_writes_them_and_exactly(text, value):
    assert evaluate(text) == value


@pytest.mark.parametrize(
    ("metadata", "value"),
    [
        ({}, "1"),
        ({"a": None}, "1"),
        ({"a": {"b": 0}}, "1"),
        ({"a": {"b": "0"}}, "1"),
        ({"a": {"b": False}}, "1"),
        ({"a": {"b": 4}}, "4"),
        ({"a": {"b": 0.1}}, "0.1"),
        ({"a": {"b": " 4.50 "}}, "4.5"),
        ({"a": {"b": True}}, "1"),
        ({"a": [1]}, "1"),
        ({"a": {"b": {}}}, "1"),
    ],
)
def test_what_is_missing_in_metadata_is_false_and_texts_of_numbers_are_numbers(metadata, value):
    assert evaluate("resource_metadata.a.b or 1", **metadata) == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("1 / (volume - 7)", "a division by zero"),
        ("volume % 0", "no number comes out|a division by zero"),
        ("0 / 0", "no number comes out"),
        ("resource_metadata.a", "a name of the expression is missing"),
        ("resource_metadata.b + 1", "'active' is no number"),
        ("9 ** 9 ** 9", "a power of more than 999"),
        ("(9 ** 900) ** 900", "too large a number"),
        ("10 ** 64", "too large a number"),
        ("(0 - 2) ** 0.5", "no number comes out"),
        ("resource_metadata", "is no number"),
    ],
)
def test_what_gives_no_number_is_told(text, complaint):
    with pytest.raises(CalculationFailed, match=complaint):
        evaluate(text, b="active")


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "().__class__",
        "volume.real",
        "volume[0]",
        "[1]",
        "'a'",
        "True",
        "1j",
        "lambda: 1",
        "volume if volume else 1",
        "f'{volume}'",
        "(x := 1)",
        "~1",
        "1 < 2 < 3",
        "1 @ 2",
        "1 << 99999999",
        "resource_id",
        "$(cpu)",
        "meter__0",
        "1e9999",
        "",
        " ",
        "1 +",
        "((",
        "(" * 300 + "1" + ")" * 300,
        "-" * 990 + "1",
        "1\x00",
        "volume\n volume",
        "1" * 2000,
        "await x",
        "*volume",
        "...",
        "print(1)",
        "max(1, 2)",
        "+".join("1" * 400),
    ],
)
def test_whatever_else_python_can_do_is_refused(text):
    with pytest.raises(BadExpression):
        compile_expression(text, of_meters=False)


def evaluate_meters(text, **volumes):
    expression = compile_expression(text, of_meters=True)
    named = {name.replace("_", "-").replace("DOT", "."): sample(volume, {"n": 4}) for name, volume in volumes.items()}
    return expression.meters, calculate(lambda: expression.evaluate(named))


def test_meters_are_named_with_all_the_characters_that_their_names_have():
    assert evaluate_meters("$(a-b) * 2 - $( aDOT )".replace("DOT", "."), a_b="5", aDOT="3") == (("a-b", "a."), "7")
    assert evaluate_meters("$(a)/$(a).resource_metadata.n + $(a).volume", a="8") == (("a",), "10")


@pytest.mark.parametrize(
    "text", ["volume", "$(a)$(b)", "2$(a)", "$(a)x", "$()", "$(a", "$(a).volume.b", "$(a).id", "a"]
)
def test_bad_names_of_meters_are_refused(text):
    with pytest.raises(BadExpression):
        compile_expression(text, of_meters=True)


def test_a_refusal_shows_what_the_operator_wrote():
    with pytest.raises(BadExpression, match=r"'max\(\$\(a-b\), 1\)' is not allowed"):
        compile_expression("1 + max($(a-b), 1)", of_meters=True)


tokens = st.sampled_from(
    [
        "volume",
        "resource_metadata.a",
        "resource_metadata.t",
        "(",
        ")",
        "+",
        "-",
        "*",
        "/",
        "//",
        "%",
        "**",
        "<",
        "==",
        "and",
        "or",
        "not",
        "0",
        "1",
        "2.5",
        "9e9",
        "1e-9",
        "$(a)",
        ",",
        ".",
        "[",
        "]",
    ]
)


@given(st.one_of(st.text(max_size=60), st.lists(tokens, max_size=14).map(" ".join)), st.booleans())
@example("9**9**9**9", False)
@example("(1e999*1e-999)**-999", False)
def test_any_text_is_an_expression_or_a_bad_one_and_gives_a_volume_or_none(text, of_meters):
    try:
        expression = compile_expression(text, of_meters=of_meters)
        volume = calculate(lambda: expression.evaluate({"": sample("3", {"a": "2", "t": "x"}), "a": sample("5")}))
    except (BadExpression, CalculationFailed):
        return
    assert volume == volume_text(volume) and len(volume) <= VOLUME_MAX_LENGTH


numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**25), max_value=10**25, places=6)


@given(numbers, numbers, st.sampled_from("+-*/"))
def test_a_result_is_the_exact_one_or_the_28_digits_nearest_to_it(left, right, sign):
    if sign == "/" and right == 0:
        return
    a, b = Fraction(left), Fraction(right)
    exact = {"+": a + b, "-": a - b, "*": a * b}[sign] if sign != "/" else a / b
    found = Fraction(Decimal(evaluate(f"volume {sign} ({right:f})", f"{left:f}" if left else "0")))
    if sign != "/":
        assert found == exact
    else:
        assert abs(found - exact) * 2 * 10**27 <= abs(exact) or abs(found - exact) <= Fraction(1, 10**61)


@pytest.mark.parametrize(
    ("text", "of_meters", "told"),
    [
        ("volume * (2", False, "at character 10: expected an arithmetic expression: '(' was never closed"),
        ("  2 * * 3", False, "at character 7: expected an arithmetic expression"),
        ("1 +", False, "at character 4: expected an arithmetic expression"),
        ("$(cpu.util) * ($(memory.usage) + 2", True, "at character 15: expected an arithmetic expression: '('"),
        ("$(cpu.util) + 2)", True, "at character 16: expected an arithmetic expression: unmatched ')'"),
        ("$(a) $(b)", True, "at character 6: expected an arithmetic expression"),
    ],
)
def test_what_is_no_arithmetic_is_told_with_its_place(text: str, of_meters: bool, told: str) -> None:
    with pytest.raises(BadExpression) as error:
        compile_expression(text, of_meters=of_meters)
    assert told in str(error.value)
