"""Series that are read for many rules at once are those that each would have read by itself."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from alarms.evaluation import reading as reading_module
from alarms.evaluation.reading import Question, ReadFailed
from alarms.rules.series import Reading
from alarms.rules.windows import Bucket, Window
from metering.models.retention import RetentionFloor
from metering.queries.filters import Scope, TimeBound
from metering.queries.simple import SAMPLE_FIELDS, QueryItem, build_filter
from metering.statistics import Aggregate, StatisticsRequest, compute
from tests.support.samples import at, make_sample, store_samples

read_all = partial(reading_module.read_all, seconds=20)
NOON = at("2016-01-05T12:00:00")
METADATA = [
    {"stack": "s1", "size": 5},
    {"stack": "s1", "size": "5"},
    {"stack": "s2", "flag": True},
    {"nested": {"stack": "s1"}, "size": 5.0},
    {"stack": "5"},
    {"flag": "True", "stack": None},
    {"stack": "'s1'"},
    {},
]


def ask(statistic="avg", query=(), *, meter="cpu_util", project="p1", end=NOON, period=60, count=4):
    items = [dict(zip(("field", "value", "type"), item, strict=False)) for item in query]
    reading = Reading(meter, statistic, items, Window(end, period, count))
    return Question(reading, Scope((project,) if project else None))


def read_alone(question):
    """By the filter of the API's statistics, without groups."""
    reading, scope = question
    items = [QueryItem(item["field"], "eq", item["value"], item.get("type")) for item in reading.query]
    if any(item.name == "meter" and item.value != reading.meter_name for item in items):
        return []
    window = reading.window
    wanted = build_filter(items, fields=SAMPLE_FIELDS - {"timestamp", "search_offset"})
    changed = {"meter": reading.meter_name}
    changed["lower"], changed["upper"] = TimeBound(window.start_at, True), TimeBound(window.end_at, False)
    wanted = type(wanted)(**{name: getattr(wanted, name) for name in wanted.__slots__} | changed)
    aggregate = Aggregate("percentile", "50") if reading.statistic == "p50" else Aggregate(reading.statistic)
    count = Aggregate("count")
    request = StatisticsRequest(
        wanted, scope, period_seconds=window.period_seconds, aggregates=tuple(dict.fromkeys((aggregate, count)))
    )
    return [
        Bucket(row.period_start_at, Decimal(row.values[aggregate.key]), row.values["count"])
        for row in compute(request)
        if row.values[aggregate.key] is not None
    ]


items = st.one_of(
    st.tuples(st.sampled_from(["resource", "resource_id"]), st.sampled_from(["r1", "r2", "nothing"])),
    st.tuples(st.sampled_from(["project", "project_id"]), st.sampled_from(["p1", "p2", "None"])),
    st.tuples(st.sampled_from(["user", "user_id"]), st.sampled_from(["u1", "u2", "None"])),
    st.tuples(st.just("source"), st.sampled_from(["openstack", "elsewhere"])),
    st.tuples(st.just("meter"), st.sampled_from(["cpu_util", "other"])),
    st.tuples(
        st.sampled_from(["metadata.stack", "resource_metadata.stack", "metadata.nested.stack"]),
        st.sampled_from(["s1", "'s1'", "s2", "5", "None"]),
        st.sampled_from(["", "string"]),
    ),
    st.tuples(
        st.just("metadata.size"), st.sampled_from(["5", "6"]), st.sampled_from(["", "integer", "string", "float"])
    ),
    st.tuples(st.just("metadata.flag"), st.just("True"), st.sampled_from(["", "boolean", "string"])),
)
questions = st.builds(
    ask,
    statistic=st.sampled_from(["avg", "max", "min", "sum", "count", "increase", "rate", "p50", "stddev"]),
    query=st.lists(items, max_size=3),
    project=st.sampled_from(["p1", "p2", ""]),
    period=st.sampled_from([60, 300]),
    count=st.integers(1, 6),
)


@pytest.fixture
def samples(db):
    owners = [("p1", "u1"), ("p1", "u2"), ("p2", "u1"), ("p2", None), (None, "u1")]
    store_samples(
        [
            make_sample(
                timestamp=NOON - timedelta(seconds=13 + 37 * number),
                volume=number * 7919 % 101,
                resource=f"r{1 + number % 3}",
                project=owners[number % 5][0],
                user=owners[number % 5][1],
                source="openstack" if number % 4 else "elsewhere",
                metadata=METADATA[number % len(METADATA)],
            )
            for number in range(60)
        ]
    )


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(asked=st.lists(questions, min_size=1, max_size=12))
def test_reading_many_together_is_reading_each_alone(samples, asked):
    assert read_all(asked) == [read_alone(question) for question in asked]


@pytest.mark.parametrize("field", ["stack", "nested.stack", "size", "flag"])
def test_metadata_is_found_by_its_value_and_type_as_it_is_alone(samples, field):
    asked = [
        ask("count", [(f"metadata.{field}", value, kind)], period=300, count=6)
        for value, kind in (
            *(("s1", ""), ("'s1'", ""), ("'s1'", "string"), ("s2", "string"), ("None", ""), ("None", "string")),
            *(("5", ""), ("5", "string"), ("5", "integer"), ("5.0", "float"), ("5.0", "string"), ("True", "")),
            *(("True", "string"), ("True", "boolean"), ("{}", ""), ("", "")),
        )
    ]
    assert read_all(asked) == [read_alone(question) for question in asked]


def test_a_thousand_resources_are_one_statement(db):
    store_samples([make_sample(timestamp=NOON - timedelta(seconds=9), resource=f"r{n}", volume=n) for n in range(300)])
    asked = [
        ask(statistic, [("resource_id", f"r{n}")], count=count)
        for n in range(300)
        for statistic, count in (("avg", 3), ("max", 4), ("count", 3))
    ]
    with CaptureQueriesContext(
        connection,
    ) as queries:
        answers = read_all(asked)
    over_samples = [query for query in queries if "metering_sample" in query["sql"]]
    assert len(over_samples) == 1
    assert [found[-1].value for found in answers] == [value for n in range(300) for value in (n, n, 1)]


def test_stacks_of_many_projects_are_one_statement(db):
    store_samples(
        [
            make_sample(
                timestamp=NOON - timedelta(seconds=9),
                resource=f"r{n}",
                project=f"p{n % 5}",
                volume=n,
                metadata={"user_metadata": {"stack": f"s-{n}"}},
            )
            for n in range(50)
        ]
    )
    asked = [ask("avg", [("metadata.user_metadata.stack", f"s-{n}")], project=f"p{n % 5}") for n in range(50)]
    with CaptureQueriesContext(connection) as queries:
        answers = read_all(asked)
    assert len([query for query in queries if "metering_sample" in query["sql"]]) == 1
    assert [[bucket.value for bucket in found] for found in answers] == [[n] for n in range(50)]


def test_what_cannot_be_read_fails_alone_and_says_why(samples):
    good = ask("count")
    broken = ask("count", [("metadata.size", "many", "integer")])
    unknown = ask("count", [("timestamp", "2016-01-01")])
    answers = read_all([broken, good, unknown])
    assert isinstance(answers[0], ReadFailed) and "Unable to convert the value many" in str(answers[0])
    assert answers[1] == read_alone(good)
    assert isinstance(answers[2], ReadFailed)


def test_a_window_longer_than_others_does_not_change_what_others_see(samples):
    short, long = ask("sum", count=1), ask("sum", count=4)
    both = read_all([short, long])
    assert both == [read_alone(short), read_alone(long)]
    assert both[0] == both[1][-1:]


def test_a_sample_at_the_start_belongs_to_the_window_and_one_at_the_end_does_not(db):
    store_samples(
        [make_sample(timestamp=NOON - timedelta(seconds=seconds), volume=seconds) for seconds in (0, 60, 120)]
    )
    (found,) = read_all([ask("sum", count=2)])
    assert [(bucket.start_at, bucket.value) for bucket in found] == [
        (NOON - timedelta(seconds=120), 120),
        (NOON - timedelta(seconds=60), 60),
    ]


def test_a_window_that_begins_where_samples_have_gone_fails_alone(samples):
    RetentionFloor.objects.update_or_create(
        subject="samples.standard", defaults={"floor_at": NOON - timedelta(seconds=200)}
    )
    short, long = ask("sum", count=3), ask("sum", count=4)
    answers = read_all([short, long])
    assert answers[0] == read_alone(short) != []
    assert isinstance(answers[1], ReadFailed) and "are kept from" in str(answers[1])


def test_across_resources_each_counts_once_however_many_samples_it_has(samples):
    store_samples(
        [
            make_sample(meter="uneven", timestamp=NOON - timedelta(seconds=second), resource=resource, volume=volume)
            for resource, volume, count in (("r1", 10, 1), ("r2", 40, 5))
            for second in range(1, count + 1)
        ]
    )
    mean = ask("avg", meter="uneven", count=1)
    of_means = mean._replace(reading=mean.reading._replace(across=True))
    one = ask("avg", [("resource_id", "r2")], meter="uneven", count=1)
    of_one = one._replace(reading=one.reading._replace(across=True))
    assert [[bucket.value for bucket in found] for found in read_all([mean, of_means, of_one])] == [[35], [25], [40]]
