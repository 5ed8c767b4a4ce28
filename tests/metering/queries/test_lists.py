"""Lists of samples, meters and resources: what is in them, in which order, for whom, and at what cost."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from metering.messages import sample_id
from metering.models import Chain, Meter, Resource, Series
from metering.queries.filters import SampleFilter, Scope
from metering.queries.meters import list_meters, list_unique_meters
from metering.queries.resources import find_resource, list_resources
from metering.queries.samples import find_sample, list_samples
from metering.queries.simple import SAMPLE_FIELDS, QueryItem, build_filter
from tests.support.samples import at, make_sample, store, store_samples

EVERYBODY = Scope(None)
P1 = Scope(("p1",))
START = at("2016-01-05T10:00:00")


def samples(*items, scope=EVERYBODY, limit=100):
    wanted = build_filter([QueryItem(*item) for item in items], fields=SAMPLE_FIELDS)
    return list_samples(wanted, scope=scope, limit=limit)


def resources(*items, scope=EVERYBODY, limit=100, with_meters=True):
    wanted = build_filter([QueryItem(*item) for item in items], fields=SAMPLE_FIELDS)
    return list_resources(wanted, scope=scope, limit=limit, with_meters=with_meters)


def test_samples_stand_newest_first_and_equal_times_in_storage_order(db):
    store_samples([make_sample(resource=name) for name in ("cow", "pig", "sheep")])
    store(resource="later", timestamp=START + timedelta(hours=1))
    assert [row.resource_id for row in samples()] == ["later", "cow", "pig", "sheep"]
    assert [row.resource_id for row in samples(scope=P1)] == ["later", "cow", "pig", "sheep"]
    assert [row.resource_id for row in samples(limit=2)] == ["later", "cow"]


@pytest.mark.parametrize("limit", [1, 2, 7, 40, 100])
def test_merging_series_gives_the_newest_of_all(db, limit):
    chance = random.Random(limit)
    stored = [
        make_sample(
            resource=f"r{chance.randrange(9)}",
            meter=f"m{chance.randrange(3)}",
            volume=number,
            timestamp=START + timedelta(seconds=chance.randrange(20)),
        )
        for number in range(60)
    ]
    posted = store_samples(stored)
    order = sorted(range(60), key=lambda number: (-stored[number].timestamp, number))
    expected = [sample_id(posted.batch_id, number) for number in order][:limit]
    assert [row.id for row in samples(scope=P1, limit=limit)] == expected
    assert [row.id for row in samples(limit=limit)] == expected
    of_one = [number for number in order if stored[number].meter.name == "m1"][:limit]
    assert [row.volume for row in samples(("meter", "eq", "m1"), limit=limit)] == of_one


def test_a_sample_is_found_by_its_id_and_by_no_other_text(db):
    posted = store_samples([make_sample(volume="0.10"), make_sample(volume=2, timestamp=START + timedelta(hours=2))])
    wanted = sample_id(posted.batch_id, 1)
    assert find_sample(str(wanted), scope=P1).volume == 2
    assert find_sample(str(wanted), scope=Scope(("p2",))) is None
    for text in ("davesnothere", str(sample_id(posted.batch_id, 2)), f"{{{wanted}}}", ""):
        assert find_sample(text, scope=EVERYBODY) is None


def test_times_bound_samples_as_their_operators_say(db):
    for minute in range(4):
        store(volume=minute, timestamp=START + timedelta(minutes=minute))
    window = [("timestamp", "ge", "2016-01-05T10:01"), ("timestamp", "lt", "2016-01-05T10:03")]
    assert [row.volume for row in samples(*window)] == [2, 1]
    window = [("timestamp", "gt", "2016-01-05T10:01"), ("timestamp", "le", "2016-01-05T10:03")]
    assert [row.volume for row in samples(*window)] == [3, 2]


@pytest.mark.parametrize(
    ("field", "value", "type_name", "matches"),
    [
        ("metadata.state", "active", None, True),
        ("resource_metadata.state", "active", "string", True),
        ("metadata.size", "5", None, True),
        ("metadata.size", "5", "integer", True),
        ("metadata.size", "5.0", "float", True),
        ("metadata.size", "5", "string", False),
        ("metadata.text", "5", None, True),
        ("metadata.text", "5", "integer", False),
        ("metadata.up", "True", None, True),
        ("metadata.up", "yes", "boolean", True),
        ("metadata.a.b.c", "1", None, True),
        ("metadata.a.b:c", "1", None, True),
        ("metadata.flavor.name", "m1.small", None, True),
        ("metadata.disks[1].size", "20", None, True),
        ("metadata.disks[2].size", "20", None, False),
        ("metadata.nothing", "None", None, False),
        ("metadata.null", "None", None, True),
        ("metadata.launched", "2016-01-05T11:00:00+01:00", "datetime", True),
        ("metadata.state", "ACTIVE", None, False),
        ("metadata.%s", "x", None, False),
    ],
)
def test_metadata_is_found_by_path_and_type(db, field, value, type_name, matches):
    store(
        metadata={
            "state": "active",
            "size": 5,
            "text": "5",
            "up": True,
            "a": {"b": {"c": 1}},
            "flavor.name": "m1.small",
            "disks": [{"size": 10}, {"size": 20}],
            "null": None,
            "launched": "2016-01-05T10:00:00",
        }
    )
    assert bool(samples((field, "eq", value, type_name))) is matches
    assert bool(samples((field, "eq", value, type_name), scope=P1)) is matches


def test_what_is_printed_is_what_is_found(db):
    store(metadata={"a": {"b.x": {"c": "v"}}, "k:1": {"l": True}})
    (row,) = samples()
    for key, value in row.metadata.items():
        assert samples((f"metadata.{key}", "eq", value)), key


def test_none_as_owner_means_nobody(db):
    store(project=None, user=None, volume=1)
    store(project="p1", user="u1", volume=2)
    assert [row.volume for row in samples(("project", "eq", "None"))] == [1]
    assert [row.volume for row in samples(("user_id", "eq", "None"))] == [1]


def test_a_series_without_samples_is_listed_nowhere(db):
    meter = Meter.objects.create(name="ghost", type="gauge", unit="", service="x")
    chain = Chain.objects.create(source="s", resource_id="ghost")
    resource = Resource.objects.create(chain=chain, source="s", resource_id="ghost", project_id="p1")
    Series.objects.create(meter=meter, resource=resource)
    nothing = SampleFilter()
    assert list_meters(nothing, scope=EVERYBODY, limit=10) == []
    assert list_unique_meters(nothing, scope=EVERYBODY, limit=10) == []
    assert resources() == []
    assert find_resource("ghost", scope=EVERYBODY) is None


def test_meters_name_the_owner_of_the_newest_sample(db):
    store(project="p1", timestamp=START)
    store(project="p2", timestamp=START + timedelta(hours=1))
    (row,) = list_meters(SampleFilter(), scope=EVERYBODY, limit=10)
    assert row.project_id == "p2"
    assert list_meters(SampleFilter(), scope=P1, limit=10) == []
    assert list_meters(SampleFilter(project="p1"), scope=EVERYBODY, limit=10) == []
    assert len(list_meters(SampleFilter(project="p2"), scope=EVERYBODY, limit=10)) == 1


def test_nobody_hides_a_meter_by_posting_samples_of_its_resource(db):
    store(project="p1", source="p1:openstack", timestamp=START)
    store(project="p2", source="p2:openstack", timestamp=START + timedelta(hours=1))
    assert [row.project_id for row in list_meters(SampleFilter(), scope=P1, limit=10)] == ["p1"]
    assert [row.project_id for row in list_meters(SampleFilter(), scope=Scope(("p1", "p2")), limit=10)] == ["p2"]
    assert [row.project_id for row in list_meters(SampleFilter(), scope=EVERYBODY, limit=10)] == ["p2"]


def test_meters_of_one_name_with_two_units_are_two(db):
    store(unit="%")
    store(unit="ns")
    store(unit="ns", resource="r2")
    assert [(row.unit, row.resource_id) for row in list_meters(SampleFilter(), scope=P1, limit=10)] == [
        ("%", "r1"), ("ns", "r1"), ("ns", "r2")
    ]  # fmt: skip
    unique = list_unique_meters(SampleFilter(), scope=P1, limit=10)
    assert [(row.name, row.unit, row.resource_id) for row in unique] == [
        ("cpu_util", "%", None),
        ("cpu_util", "ns", None),
    ]


def test_meters_are_filtered_by_the_metadata_of_the_newest_sample(db):
    store(metadata={"state": "old"}, timestamp=START)
    store(metadata={"state": "new"}, timestamp=START + timedelta(hours=1))
    by_state = {
        state: list_meters(
            build_filter([QueryItem("metadata.state", "eq", state)], fields=SAMPLE_FIELDS), scope=P1, limit=9
        )
        for state in ("old", "new")
    }
    assert not by_state["old"]
    assert len(by_state["new"]) == 1


def test_a_resource_is_described_by_the_samples_that_match(db):
    store(metadata={"state": "a"}, user="u1", timestamp=START)
    store(metadata={"state": "b"}, user="u2", timestamp=START + timedelta(hours=1), meter="memory")
    (row,) = resources()
    assert (row.user_id, row.metadata) == ("u2", {"state": "b"})
    assert (row.first_sample_at, row.last_sample_at) == (START, START + timedelta(hours=1))
    assert row.meters == ["cpu_util", "memory"]
    (row,) = resources(("metadata.state", "eq", "a"))
    assert (row.user_id, row.metadata, row.last_sample_at) == ("u1", {"state": "a"}, START)
    assert resources(("timestamp", "gt", "2016-01-05T12:00")) == []


def test_resources_show_neither_samples_nor_meters_of_other_projects(db):
    store(project="p1", meter="mine", metadata={"secret": "no"})
    store(project="p2", meter="theirs", metadata={"secret": "yes"}, timestamp=START + timedelta(hours=1))
    (row,) = resources(scope=P1)
    assert row.meters == ["mine"]
    assert row.metadata == {"secret": "no"}
    assert row.last_sample_at == START


def test_resources_stand_by_id_and_keep_to_the_limit(db):
    for name in ("b", "c", "a"):
        store(resource=name)
    assert [row.resource_id for row in resources(limit=2)] == ["a", "b"]


@pytest.mark.parametrize(
    "ask",
    [
        lambda: samples(),
        lambda: samples(scope=P1),
        lambda: samples(("meter", "eq", "cpu_util"), ("metadata.state", "eq", "a")),
        lambda: samples(("message_id", "eq", "00000000-0000-7000-8000-000000000000")),
        lambda: resources(),
        lambda: list_meters(SampleFilter(), scope=P1, limit=100),
        lambda: list_unique_meters(SampleFilter(), scope=P1, limit=100),
    ],
)
def test_a_list_of_any_length_is_one_statement(db, ask):
    store_samples([make_sample(resource=f"r{number}") for number in range(50)])
    with CaptureQueriesContext(connection) as queries:
        ask()
    assert len([query for query in queries if "metering_sample" in query["sql"]]) == 1
    # Beside it, which classes there are: before and after.
    assert len(queries) <= 3


def test_a_class_that_appears_while_resources_are_listed_is_looked_into(db, monkeypatch):
    store_samples([make_sample(resource="r1")])
    seen = iter([(7,), (0,), (0,)])
    monkeypatch.setattr("metering.queries.resources.find_classes", lambda: next(seen))
    assert [row.resource_id for row in resources()] == ["r1"]
