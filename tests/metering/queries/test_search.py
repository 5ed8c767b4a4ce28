"""Complex queries against the store: what they find equals what going through all samples one by one finds."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from operator import eq, ge, gt, le, lt, ne

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.messages import sample_id
from metering.queries import walks
from metering.queries.complex import FIELDS, METADATA_PREFIX, Comparison, Junction, parse_filter, parse_order
from metering.queries.errors import FilterError, TooExpensive
from metering.queries.filters import Scope
from metering.queries.search import SampleSearch, search_samples
from tests.support.samples import at, make_sample, store, store_samples

START = at("2016-01-05T10:00:00")
EVERYBODY = Scope(None)
P1 = Scope(("p1",))
gently = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

METADATA = (
    {},
    {"state": "on"},
    {"state": "off", "size": 1},
    {"state": 5, "size": 2.5},
    {"size": "2.5", "up": True},
    {"up": False},
)
SAMPLES = [
    {
        "meter": ("cpu", "disk", "net")[n % 3],
        "type": ("gauge", "cumulative")[n % 2],
        "unit": ("B", "ns")[n % 3 == 0],
        "volume": Decimal(n * 7 % 10) / 2,
        "resource": ("a", "b", "c", "d")[n // 2 % 4],
        "project": ("p1", "p2", None)[n // 3 % 3],
        "user": ("u1", None)[n % 2],
        "source": ("openstack", "else")[n % 5 == 0],
        "timestamp": START + timedelta(minutes=n * 11 % 8),
        "metadata": METADATA[n % 6],
    }
    for n in range(48)
]  # fmt: skip


@pytest.fixture
def stored(db):
    """The samples as above, each with its id under ``id``."""
    posted = store_samples([make_sample(**fields) for fields in SAMPLES])
    return [{**fields, "id": sample_id(posted.batch_id, n)} for n, fields in enumerate(SAMPLES)]


def find(expression, order=None, *, scope=EVERYBODY, limit=100, after=None):
    tree = None if expression is None else parse_filter(json.dumps(expression))
    keys = None if order is None else parse_order(json.dumps(order))
    return search_samples(SampleSearch(tree, keys), scope=scope, limit=limit, after=after)


def ids(found):
    return [row.sample.id for row in found]


def holds(sample, expression):
    """True, False, or None where it cannot be said: the logic of SQL, written once more."""
    if isinstance(expression, Comparison):
        return compares(sample, expression)
    if isinstance(expression, Junction):
        parts = [holds(sample, part) for part in expression.parts]
        decisive = expression.word == "or"
        return decisive if decisive in parts else None if None in parts else not decisive
    inner = holds(sample, expression.part)
    return None if inner is None else not inner


def compares(sample, leaf):
    value = sample["metadata"].get(leaf.metadata_key) if leaf.metadata_key else sample[leaf.field]
    if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
        value = Decimal(str(value))
    wanted = [other for other in leaf.values if type(other) is type(value)]
    if value is None or not wanted:
        return None
    return any(OPERATORS[leaf.operator](value, other) for other in wanted)


OPERATORS = {
    "=": eq, "in": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge, "=~": lambda value, pattern: bool(re.search(pattern, value)),
}  # fmt: skip
TEXTS = {
    "meter": ("cpu", "disk", "net", "none"), "counter_type": ("gauge", "cumulative"), "unit": ("B", "ns"), "resource_id": ("a", "b", "e"),
    "project": ("p1", "p2"), "user_id": ("u1", "u2"), "source": ("openstack", "else"), "metadata.state": ("on", "off", "5"),
    "metadata.size": ("2.5", "1"),
}  # fmt: skip
TIMES = tuple(f"2016-01-05T10:0{minute}:00" for minute in range(9))
comparators = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "=<", "=>"])


def leaf(operators, field, values):
    return st.builds(lambda operator, value: {operator: {field: value}}, operators, values)


leaves = st.one_of(
    st.sampled_from(sorted(TEXTS)).flatmap(lambda field: leaf(comparators, field, st.sampled_from(TEXTS[field]))),
    st.sampled_from(sorted(TEXTS)).flatmap(
        lambda field: leaf(st.just("in"), field, st.lists(st.sampled_from(TEXTS[field]), min_size=1, max_size=3))
    ),
    st.sampled_from(sorted(TEXTS)).flatmap(
        lambda field: leaf(st.just("=~"), field, st.sampled_from(["^c", "n$", "p[12]", "o.f", "5", "^$"]))
    ),
    leaf(comparators, "volume", st.sampled_from([0, 1.5, "2.5", 4])),
    leaf(st.just("in"), "counter_volume", st.lists(st.sampled_from([0, "1.50", 3]), min_size=1, max_size=3)),
    leaf(comparators, "timestamp", st.sampled_from(TIMES)),
    leaf(comparators, "metadata.size", st.sampled_from([1, 2.5, 3])),
    leaf(st.just("in"), "metadata.size", st.just([1, "2.5"])),
    leaf(st.sampled_from(["=", "!="]), "metadata.up", st.booleans()),
)
expressions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(lambda part: {"not": part}, inner),
        st.builds(lambda word, parts: {word: parts}, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
    ),
    max_leaves=6,
)  # fmt: skip


@gently
@given(
    expression=expressions, scope=st.sampled_from([EVERYBODY, P1, Scope(("p1", "p2"))]), limit=st.sampled_from([3, 100])
)
def test_a_filter_finds_what_going_through_all_samples_finds(stored, expression, scope, limit):
    tree = parse_filter(json.dumps(expression))
    expected = [
        sample
        for sample in stored
        if holds(sample, tree) is True and (scope.projects is None or sample["project"] in scope.projects)
    ]
    newest_first = sorted(expected, key=lambda sample: (-sample["timestamp"].timestamp(), sample["id"]))
    assert ids(find(expression, scope=scope, limit=limit)) == [sample["id"] for sample in newest_first][:limit]


def sort_key(sample, field, descending):
    """None stands behind all texts in ascending order, before them in descending."""
    value = sample[field]
    return (value is None, value or "") if field in {"user", "project"} else (False, value)


ORDER_FIELDS = sorted(set(FIELDS) - {"message_id", "message_signature", "recorded_at", "resource_metadata"})
orders = st.lists(st.tuples(st.sampled_from(ORDER_FIELDS), st.sampled_from(["asc", "desc"])), max_size=3)


@gently
@given(
    order=orders, size=st.integers(1, 20), expression=st.none() | expressions, scope=st.sampled_from([EVERYBODY, P1])
)
def test_pages_of_any_order_and_size_are_the_whole_in_order(stored, order, size, expression, scope):
    written = [{field: direction} for field, direction in order]
    whole = find(expression, written, scope=scope, limit=1000)
    tree = None if expression is None else parse_filter(json.dumps(expression))
    expected = sorted(
        (
            sample
            for sample in stored
            if (tree is None or holds(sample, tree) is True)
            and (scope.projects is None or sample["project"] in scope.projects)
        ),
        key=lambda sample: sample["id"],
    )
    keys = SampleSearch(None, parse_order(json.dumps(written))).keys
    for key in reversed(keys[:-1]):
        expected.sort(key=lambda sample: sort_key(sample, key.field, key.descending), reverse=key.descending)
    assert ids(whole) == [sample["id"] for sample in expected]

    paged, after = [], None
    while page := find(expression, written, scope=scope, limit=size, after=after):
        paged += page
        assert len(paged) <= len(whole)
        after = SampleSearch(None, parse_order(json.dumps(written))).read_position(page[-1].position)
    assert ids(paged) == ids(whole)


@pytest.mark.parametrize("field", ["recorded_at", "message_signature", "resource_metadata", "message_id"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_pages_by_what_stands_beside_the_sample(stored, field, direction):
    store(resource="late", metadata={"z": 1})
    order = [{field: direction}]
    whole = ids(find(None, order))
    assert len(whole) == 49
    paged, after = [], None
    while page := find(None, order, limit=7, after=after):
        paged += ids(page)
        assert len(paged) <= len(whole)
        after = SampleSearch(None, parse_order(json.dumps(order))).read_position(page[-1].position)
    assert paged == whole


@gently
@given(
    expression=expressions,
    limit=st.integers(1, 30),
    first_look=st.integers(1, 40),
    scope=st.sampled_from([EVERYBODY, P1]),
)
def test_what_is_found_does_not_depend_on_how_far_the_first_look_goes(stored, expression, limit, first_look, scope):
    whole = ids(find(expression, scope=scope, limit=1000))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walks, "_FIRST_LOOK", first_look)
        patch.setattr(walks, "_LOOK_FACTOR", 0)
        assert ids(find(expression, scope=scope, limit=limit)) == whole[:limit]


def test_no_order_is_the_order_of_storage_and_none_given_is_newest_first(stored):
    oldest_first = sorted(stored, key=lambda sample: (sample["timestamp"], sample["id"]))
    assert ids(find(None, [])) == [sample["id"] for sample in oldest_first]
    newest_first = sorted(stored, key=lambda sample: (-sample["timestamp"].timestamp(), sample["id"]))
    assert ids(find(None)) == [sample["id"] for sample in newest_first]


def test_a_sample_is_found_by_its_id_and_by_what_stands_beside_it(stored):
    wanted, other = str(stored[5]["id"]), str(stored[9]["id"])
    assert ids(find({"=": {"message_id": wanted}})) == [stored[5]["id"]]
    assert set(ids(find({"in": {"message_id": [wanted, other, "nonsense"]}}))) == {stored[5]["id"], stored[9]["id"]}
    assert find({"=": {"message_id": "nonsense"}}) == []
    assert len(find({"!=": {"message_id": wanted}})) == 47
    assert len(find({"!=": {"message_id": "nonsense"}})) == 48
    assert ids(find({"and": [{"=~": {"message_id": wanted[-5:] + "$"}}, {"<=": {"message_id": wanted}}]})) == [
        stored[5]["id"]
    ]
    assert len(find({">": {"recorded_at": "2016-02-01"}})) == 48
    assert find({"=": {"recorded_at": "2016-02-01"}}) == []
    assert len(find({"=~": {"message_signature": "^[0-9a-f]{128}$"}})) == 48
    assert len(find({"=~": {"resource_metadata": '"state": "on"'}})) == 8


def test_a_metadata_key_is_found_wherever_it_may_be_stored_as_in_the_simple_language(db):
    store(metadata={"flavor.name": "small", "a": {"b": {"c": 1}}, "disks": [{"size": 10}]})
    for key, value in (("flavor.name", "small"), ("a.b.c", 1), ("a.b:c", 1), ("disks[0].size", 10)):
        assert len(find({"=": {METADATA_PREFIX + key: value}})) == 1, key
        assert len(find({"not": {"!=": {METADATA_PREFIX + key: value}}})) == 1, key
        assert find({"!=": {METADATA_PREFIX + key: value}}) == []


def test_of_two_places_that_a_key_names_either_counts(db):
    store(metadata={"a": {"b": 1}, "a.b": 2})
    for value in (1, 2):
        assert len(find({"=": {"metadata.a.b": value}})) == 1
    assert find({"=": {"metadata.a.b": 3}}) == []
    assert len(find({"in": {"metadata.a.b": [3, 2]}})) == 1


def test_equal_samples_without_the_key_match_neither_a_comparison_nor_its_negation(db):
    store(metadata={})
    store(metadata={"size": "1"}, resource="r2")
    for expression in ({"=": {"metadata.size": 1}}, {"!=": {"metadata.size": 1}}, {"not": {"=": {"metadata.size": 1}}}):
        assert find(expression) == [], expression


@pytest.mark.parametrize(
    "pattern",
    [
        "((((((((((a{0,100}){0,100}){0,100}){0,100}){0,100}",
        "(((a{0,255}){0,255}){0,255})",
        "(?:a{1,255}|b{1,255}){1,255}",
        "(a?){200}" * 20,
        "(((((a{1,60}){1,60}){1,60}){1,60}){1,60})b",
    ],
)
@pytest.mark.parametrize("field", ["resource", "metadata.long"])
def test_a_pattern_that_explodes_is_refused_or_given_up_and_the_store_answers_on(db, settings, field, pattern):
    store(resource="a" * 255, metadata={"long": "a" * 60_000})
    settings.CELOMETER_QUERY_TIMEOUT_SECONDS = 2
    with pytest.raises((FilterError, TooExpensive)) as caught, transaction.atomic():
        find({"=~": {field: pattern}})
    assert isinstance(caught.value, TooExpensive) or pattern.startswith(caught.value.value[:100])
    assert len(find(None)) == 1


@pytest.mark.parametrize(
    "pattern", [r"^(a+)+$", r"((a*)*)*\1\2$b", r"(a*)(a*)(a*)(a*)(a*)(a*)\1\2\3\4\5\6b", r"(\w{1,200}){1,20}\1x"]
)
def test_a_pattern_that_hangs_other_engines_ends(db, settings, pattern):
    store(resource="a" * 255, metadata={"long": "a" * 60_000})
    settings.CELOMETER_QUERY_TIMEOUT_SECONDS = 2
    for field in ("resource", "metadata.long"):
        with suppress(TooExpensive), transaction.atomic():
            assert len(find({"=~": {field: pattern}})) <= 1
        assert len(find(None)) == 1


@pytest.mark.parametrize("pattern", ["(", "a{2,1}", "[z-a]", "*", "a{99999}", "\\"])
def test_a_bad_pattern_is_refused_by_name_even_when_nothing_is_stored(db, pattern):
    with pytest.raises(FilterError) as caught:
        find({"=~": {"metadata.a": pattern}})
    assert caught.value.text.startswith("Filter expression not valid: invalid regular expression")
    assert caught.value.value == pattern


@pytest.mark.parametrize("order", [None, [], [{"volume": "asc"}]])
def test_a_search_of_any_length_is_one_statement(db, order):
    store_samples([make_sample(resource=f"r{number}") for number in range(30)])
    with CaptureQueriesContext(connection) as queries:
        assert len(find({">=": {"resource": "r"}}, order)) == 30
    assert len(queries) == 1
    with CaptureQueriesContext(connection) as queries:
        assert len(find({"=~": {"resource": "^r"}}, order)) == 30
    # Whether the pattern is one, and the samples.
    assert len(queries) == 2
