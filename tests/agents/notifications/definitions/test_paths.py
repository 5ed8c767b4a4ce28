"""Paths: what they find, held against a plain interpreter, and what is no path."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path as FilePath
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.notifications.definitions.paths import BadPath, compile_path, read_place

METRICS = [
    {"name": "cpu.percent", "value": 0.38, "metric": {"name": "storage.api.request"}},
    {"name": "cpu.frequency", "value": 2600, "metric": {"name": "storage.objects.incoming.bytes"}},
]
DOCUMENT = {
    "publisher_id": "compute.host.example.org",
    "event_type": "compute.instance.exists",
    "ctxt": {"project": "p1", "tenant_id": None},
    "payload": {
        "size": 120,
        "zero": 0,
        "no": False,
        "blank": "",
        "nothing": None,
        "host": "cmp-07",
        "node": "cmp-07.example.net",
        "a-b": 7,
        "router:external": True,
        "metrics": METRICS,
        "glance_metadata": [{"key": "image_id", "value": "i1"}, {"key": "image_name", "value": "debian"}],
        "attachments": [{"server_id": "s1"}, {"server_id": "s2"}],
        "tags": ["web", "golden"],
        "counts": [{"n": 10}, {"n": None}, {"n": 30}],
        "sensors": {"Temp": {"CPU 1": {"Sensor Reading": "39 (+/- 1) degrees C"}}},
        "outcome": "failure",
        "pool": "stor-02@ceph#pool-a",
        "launched": "2026-03-14 09:26:40",
    },
}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("$.payload.size", [120]),
        ("payload.size", [120]),
        (" $ . payload . size ", [120]),
        ("$.payload.missing", []),
        ("$.payload.size.more", []),
        ("$.payload.host.more", []),
        ("$.payload.tags.name", []),
        ("$.payload.nothing", [None]),
        ("$.payload.nothing.more", []),
        ("$.payload.a-b", [7]),
        ("$.payload.'router:external'", [True]),
        ('$.payload["router:external"]', [True]),
        ("$['payload'].size", [120]),
        ("$.payload.'it\\'s'", []),
        ("$.payload.attachments[0].server_id", ["s1"]),
        ("$.payload.attachments[-1].server_id", ["s2"]),
        ("$.payload.attachments[2].server_id", []),
        ("$.payload.attachments[-3].server_id", []),
        ("$.payload.attachments.[1].server_id", ["s2"]),
        ("$.payload.host[0]", []),
        ("$.payload.tags[*]", ["web", "golden"]),
        ("$.payload.metrics.[*].name", ["cpu.percent", "cpu.frequency"]),
        # Swift's middleware sent a list under metric once, and an object since.
        ("$.payload.metrics.[*].metric.[*].name", ["storage.api.request", "storage.objects.incoming.bytes"]),
        ("$.payload.sensors.Temp.*.'Sensor Reading'", ["39 (+/- 1) degrees C"]),
        ("$.payload.counts.*.n", [10, None, 30]),
        ("$..server_id", ["s1", "s2"]),
        (
            "$.payload.metrics..name",
            ["cpu.percent", "storage.api.request", "cpu.frequency", METRICS[1]["metric"]["name"]],
        ),
        ("$..metric..name", ["storage.api.request", "storage.objects.incoming.bytes"]),
        ("$.payload.tags..[*]", ["web", "golden"]),
        ("$.payload..*..'Sensor Reading'", ["39 (+/- 1) degrees C"]),
        ("$", [DOCUMENT]),
        # The data of Nova's versioned objects is there already.
        ('$.payload."nova_object.data".size', [120]),
        ('$.payload["nova_object.data"]["nova_object.data"].size', [120]),
    ],
)
def test_paths_lead_to_values(text: str, values: list[Any]) -> None:
    assert compile_path(text)(DOCUMENT) == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("$.payload.metrics[?(@.name='cpu.percent')].value", [0.38]),
        ("$.payload.metrics[?(@.name=='cpu.percent')].value", [0.38]),
        ('$.payload.metrics[?name="cpu.percent"].value', [0.38]),
        ("$.payload.metrics[?(@.name!='cpu.percent')].value", [2600]),
        ("$.payload.metrics[?(@.metric.name='storage.api.request')].value", [0.38]),
        ("$.payload.metrics.[?(@.value > 0.38)].value", [2600]),
        ("$.payload.metrics[?(@.value >= 0.38)].value", [0.38, 2600]),
        ("$.payload.metrics[?(@.value = 0.38)].value", [0.38]),
        ("$.payload.metrics[?(@.value < 2600 & @.name = 'cpu.percent')].value", [0.38]),
        ("$.payload.metrics[?(@.value < 2600) & (@.name = 'other')].value", []),
        ("$.payload.metrics[?(@.missing != 'x')]", []),
        ("$.payload.metrics[?(@.name > 5)]", []),
        ("$.payload.counts[?(@.n)].n", [10, None, 30]),
        ("$.payload.counts[?(@.n <= 10)].n", [10]),
        ("$.payload.glance_metadata[?key=image_id].value", ["i1"]),
        ("$.payload.glance_metadata[?key=image].value", []),
        ("$.payload[?(@.Temp)].Temp.*.`len`", [1]),
    ],
)
def test_filters_choose_among_items(text: str, values: list[Any]) -> None:
    assert compile_path(text)(DOCUMENT) == values


def test_a_number_is_compared_as_a_number_also_where_the_value_is_text() -> None:
    document = {"items": [{"id": "901"}, {"id": 901}, {"id": 901.0}, {"id": True}, {"id": "x"}, {"id": "٩"}]}
    assert compile_path("$.items[?(@.id=901)].id")(document) == ["901", 901, 901.0]
    assert compile_path("$.items[?(@.id='901')].id")(document) == ["901"]
    assert compile_path("$.items[?(@.id=true)].id")({"items": [{"id": 1}, {"id": "true"}, {"id": True}]}) == [True]
    assert compile_path("$.items[?(@.id!=true)].id")({"items": [{"id": 1}, {"id": True}]}) == [1]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('$.payload.host + "_" + $.payload.node', ["cmp-07_cmp-07.example.net"]),
        ("'identity.authenticate.' + $.payload.outcome", ["identity.authenticate.failure"]),
        ("$.payload.outcome.`sub(/.*/, )` + 'identity.' + $.payload.outcome", ["identity.failure"]),
        ("$.payload.metrics[?(@.name='cpu.percent')].value * 100", [38]),
        ("$.payload.size - 20 - 50", [50]),
        ("$.payload.size - (20 - 50)", [150]),
        ("2 + $.payload.size * 3", [362]),
        ("$.payload.size / 8", [15]),
        ("-1 * $.payload.a-b", [-7]),
        ("$.payload.size / 0", []),
        ("$.payload.size / $.payload.zero", []),
        ("$.payload.size + $.payload.missing", []),
        ("$.payload.missing + 1", []),
        ("$.payload.nothing + 1", []),
        ("$.payload.no + 1", []),
        ("$.payload.host + 1", []),
        ("$.payload.host * 2", []),
        ("$.payload.tags + $.payload.tags", []),
        ("$.payload.tags[*] + '-' + $.payload.tags[*]", ["web-web", "golden-golden"]),
        ("$.payload.tags[*] + $.payload.host", []),
        # One that cannot be calculated leaves the others in their places.
        ("$.payload.counts[*].n * 2", [20, None, 60]),
        ("1 + 2 * $.payload.counts[*].n + 1", [22, None, 62]),
        ("1 + 2", [3]),
        ("@.publisher_id + '!'", ["compute.host.example.org!"]),
        ("(publisher_id) + '!'", ["compute.host.example.org!"]),
        ("['publisher_id'] + '!'", ["compute.host.example.org!"]),
        ("'publisher_id' + '!'", ["publisher_id!"]),
        ("'publisher_id'", ["compute.host.example.org"]),
        ("$.payload.tags[*] * 2", []),
    ],
)
def test_arithmetic_goes_pair_by_pair_and_gives_nothing_where_there_is_nothing(text: str, values: list[Any]) -> None:
    assert compile_path(text)(DOCUMENT) == values


def test_arithmetic_is_exact() -> None:
    assert [str(value) for value in compile_path("$.a + 0.2")({"a": 0.1})] == ["0.3"]
    assert compile_path("$.a * 100")({"a": 0.29}) == [29]
    assert compile_path("$.a + 1")({"a": 2**63}) == [2**63 + 1]
    assert [str(value) for value in compile_path("$.a / 3")({"a": 1})] == ["0.3333333333333333333333333333"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("$.payload.missing|$.payload.size", [120]),
        ("ctxt.user_id|ctxt.user|ctxt.project", ["p1"]),
        ("(ctxt.tenant_id)|(ctxt.project)", [None, "p1"]),
        ("$.payload.(missing|host|node)", ["cmp-07", "cmp-07.example.net"]),
        ("(payload|ctxt).project", ["p1"]),
        ("$.payload.attachments[*].(server_id|server_id)", ["s1", "s1", "s2", "s2"]),
    ],
)
def test_a_union_binds_looser_than_a_dot(text: str, values: list[Any]) -> None:
    assert compile_path(text)(DOCUMENT) == values


@pytest.mark.parametrize(
    ("function", "value", "result"),
    [
        ("`split(., 1, 1)`", "compute.host.example.org", ["host.example.org"]),
        ("`split(., 0, -1)`", "compute.host.example.org", ["compute"]),
        ("`split(., 1, -1)`", "compute.host.example.org", ["host"]),
        ("`split(., 3, -1)`", "compute.host.example.org", ["org"]),
        ("`split(., 3, 1)`", "compute.host.example.org", []),
        ("`split(., 2, 2)`", "compute.host.example.org", ["example.org"]),
        ("`split(., -1, -1)`", "compute.host.example.org", ["org"]),
        ("`split(#, 0, 1)`", "stor-02@ceph#pool-a", ["stor-02@ceph"]),
        ("`split( , 0, -1)`", "39 (+/- 1) degrees C", ["39"]),
        ("`split(', ', 1, -1)`", "a, b", ["b"]),
        ("`split(,, 1, -1)`", "a,b", ["b"]),
        ("`split(., 0, -1)`", 5, []),
        ("`sub(/host/, node)`", "compute.host", ["compute.node"]),
        (r"`sub(/(\w+)\.(\w+)/, \2-\1)`", "compute.host", ["host-compute"]),
        ("`sub(/x/, y)`", "compute.host", ["compute.host"]),
        ("`sub(/.*/, )`", "failure", [""]),
        ("`sub(/ /, _)`", "Fan 1", ["Fan_1"]),
        ("`sub(/a/b/, c)`", "xa/by", ["xcy"]),
        ("`sub(/a/, b)`", 5, []),
        ("`len`", "abc", [3]),
        ("`len`", [1, 2], [2]),
        ("`len`", {"a": 1}, [1]),
        ("`len`", 5, []),
        ("`len`", None, []),
        ("`lower`", "CPU 1 Temp", ["cpu 1 temp"]),
        ("`lower`", 5, []),
        ("`sorted`", ["b", "a"], [["a", "b"]]),
        ("`sorted`", ["b", 1], []),
        ("`sorted`.[0]", ["b", "a"], ["a"]),
        ("`split(., 0, 1)`.`len`", "compute.host", [7]),
    ],
)
def test_functions(function: str, value: Any, result: list[Any]) -> None:
    assert compile_path(f"$.value.{function}")({"value": value}) == result


def test_first_is_the_first_value_that_is_not_null() -> None:
    for text, value in [
        ("$.payload.size", 120),
        ("$.payload.zero|$.payload.size", 0),
        ("$.payload.no|$.payload.size", False),
        ("$.payload.blank|$.payload.size", ""),
        ("$.payload.nothing|$.payload.size", 120),
        ("$.payload.nothing", None),
        ("$.payload.missing", None),
    ]:
        found = compile_path(text).first(DOCUMENT)
        assert found == value and type(found) is type(value)


def test_matches_tell_where_a_value_stands() -> None:
    def places(text: str) -> list[tuple[str | int, ...]]:
        return [match.path for match in compile_path(text).matches(DOCUMENT)]

    assert places("$.payload.metrics[?(@.name='cpu.frequency')].value") == [("payload", "metrics", 1, "value")]
    assert places("payload.metrics[-1].metric.name") == [("payload", "metrics", 1, "metric", "name")]
    assert places("publisher_id.`split(., 0, 1)`") == [("publisher_id",)]
    assert places("$.payload.size + 1") == [()]
    assert read_place("payload.metrics[1].'metric'.name") == ("payload", "metrics", 1, "metric", "name")
    for text in ("payload.metrics[*].name", "payload.metrics[-1]", "1", "a|b", "(a|b).c"):
        with pytest.raises(BadPath):
            read_place(text)


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("", 1, "a name"),
        ("$.", 3, "a name"),
        ("$..", 4, "a name"),
        ("$payload", 2, "'.'"),
        ("$.payload[", 11, "a whole number"),
        ("$.payload[0", 12, "']'"),
        ("$.payload[x]", 11, "a whole number"),
        ("$.payload[1.5]", 12, "']'"),
        ("$.payload[?]", 12, "a name"),
        ("$.payload[?(@.a=]", 17, "a number, a quoted text, a word"),
        ("$.payload[?(@.a=1]", 18, "')'"),
        ("$.payload.'name", 16, "' that ends the quoted text"),
        ("$.a |", 6, "a number, a name"),
        ("($.a", 5, "')'"),
        ("$.a + ", 7, "a name"),
        ("host + '_'", 1, "$.host for the field, or 'host' for the text"),
        ("$.a + 2 * host", 11, "$.host for the field"),
        ("$.a-$.b", 5, "a minus needs a blank before it"),
        ("$.a b", 5, "an operator"),
        ("$.a.`len", 9, "that ends the function"),
        ("$.a.`parent`", 6, "`lower`, `sorted`"),
        ("$.a.`split(.)`", 6, "`split(separator, index, maxsplit)`"),
        ("$.a.`sub(/(/, x)`", 6, "a regular expression"),
        (r"$.a.`sub(/a/, \1)`", 6, "a regular expression"),
        ("$.a%", 4, "an operator"),
        ("(" * 100, 21, "at most 20"),
        ("a[?" * 100, 61, "at most 20"),
        ("$" + ".a" * 1000, 2001, "at most 2000 characters"),
    ],
)
def test_what_is_no_path_is_told_with_the_place(text: str, position: int, expected: str) -> None:
    with pytest.raises(BadPath) as error:
        compile_path(text)
    assert f"at character {position}: expected" in str(error.value)
    assert expected in str(error.value)


def test_only_what_nests_counts_as_nested() -> None:
    assert compile_path("(a[?b])|" * 100 + "(((size)))")({"size": 1}) == [1]


SIGNS = st.sampled_from(
    [*"$@.[]()*?'\"|+-/`,=<>!&\\ \t0123456789abn#", "..", "[*]", "[?(@.", ".`sub(/", "`split(., 0, 1)`", "`len`"]
)


@given(st.lists(SIGNS, max_size=40).map("".join) | st.text(max_size=60))
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_path_or_a_bad_path_and_any_path_can_be_looked_up(text: str) -> None:
    try:
        getter = compile_path(text)
    except BadPath:
        return
    getter(DOCUMENT)
    getter.first(DOCUMENT)


def test_a_document_nested_without_end_does_no_harm() -> None:
    document: Any = {"name": 0}
    for _ in range(5000):
        document = {"a": [document]}
    assert compile_path("$..name")(document) == [0]
    assert len(compile_path("$..name").matches(document)[0].path) == 10001


# Against a plain interpreter: steps are drawn with their text and a function from values to the values they lead to.

NAMES = ["a", "b", "c"]
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, -0.1, 2.25])
    | st.sampled_from(["a", "b", "1"])
)
DOCUMENTS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=12,
)


def children(value: Any) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []


def field(name: str, value: Any) -> list[Any]:
    return [value[name]] if isinstance(value, dict) and name in value else []


def at(number: int, value: Any) -> list[Any]:
    return [value[number]] if isinstance(value, list) and -len(value) <= number < len(value) else []


def below(values: list[Any]) -> list[Any]:
    """Each object and list in the values once, the outer before the inner."""
    found: list[Any] = []

    def visit(value: Any) -> None:
        if isinstance(value, dict | list) and not any(value is other for other in found):
            found.append(value)
            for child in children(value):
                visit(child)

    for value in values:
        visit(value)
    return found


@st.composite
def steps(draw: Any) -> tuple[str, Any]:
    name, number = draw(st.sampled_from(NAMES)), draw(st.integers(-3, 3))
    one_by_one = [
        (f".{name}", lambda value: field(name, value)),
        (f".'{name}'", lambda value: field(name, value)),
        (f'["{name}"]', lambda value: field(name, value)),
        (f"[{number}]", lambda value: at(number, value)),
        (f".[{number}]", lambda value: at(number, value)),
        ("[*]", lambda value: value if isinstance(value, list) else [value]),
        (".*", children),
        (f"[?(@.{name}='b')]", lambda value: [child for child in children(value) if "b" in field(name, child)]),
        (f"[?{name}]", lambda value: [child for child in children(value) if field(name, child)]),
        (f".({name}|*)", lambda value: field(name, value) + children(value)),
    ]
    from_below = [
        (f"..{name}", lambda value: field(name, value)),
        ("..*", children),
        (f"..[{number}]", lambda value: at(number, value)),
        ("..[*]", lambda value: value if isinstance(value, list) else []),
    ]
    if draw(st.integers(0, 3)):
        text, step = draw(st.sampled_from(one_by_one))
        return text, lambda values: [found for value in values for found in step(value)]
    text, step = draw(st.sampled_from(from_below))
    return text, lambda values: [found for value in below(values) for found in step(value)]


@given(st.lists(steps(), max_size=5), DOCUMENTS)
@settings(max_examples=500, deadline=None)
def test_a_compiled_path_finds_what_a_plain_interpreter_finds(path: list[tuple[str, Any]], document: Any) -> None:
    getter = compile_path("$" + "".join(text for text, _ in path))
    expected = [document]
    for _, step in path:
        expected = step(expected)
    assert repr(getter(document)) == repr(expected)
    assert getter.first(document) == next((value for value in expected if value is not None), None)
    for match in getter.matches(document):
        value = document
        for key in match.path:
            value = value[key]
        assert value is match.value


def exact(value: Any) -> Fraction | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return Fraction(repr(value))


@given(st.sampled_from("+-*/"), LEAVES, LEAVES)
@settings(max_examples=300, deadline=None)
def test_arithmetic_is_that_of_fractions(sign: str, left: Any, right: Any) -> None:
    results = compile_path(f"$.a {sign} $.b")({"a": left, "b": right})
    first, second = exact(left), exact(right)
    if isinstance(left, str) and isinstance(right, str) and sign == "+":
        assert results == [left + right]
    elif first is None or second is None or (sign == "/" and second == 0):
        assert results == []
    else:
        expected = {"+": first + second, "-": first - second, "*": first * second, "/": second and first / second}[sign]
        assert len(results) == 1
        assert abs(Fraction(results[0]) - expected) <= (abs(expected) / 10**27 if sign == "/" else 0)


def test_the_paths_of_the_documentation_are_paths() -> None:
    page = (FilePath(__file__).parents[4] / "docs" / "definitions.md").read_text()
    table = page.split("| path | finds |")[1].split("\n\n")[0]
    spans = [span[2].replace("\\|", "|") for span in re.finditer(r"(`{1,2})(?!`) ?(.+?) ?(?<!`)\1(?!`)", table)]
    paths = [span for span in spans if span.startswith(("$", "payload", "publisher_id"))]
    assert len(paths) > 15
    for path in paths:
        compile_path(path)
