"""python-ceilometerclient 2.9, unmodified, against a running server: every command's output, and the library."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal

import pytest
from ceilometerclient import client as ceilometer_client
from ceilometerclient.apiclient import exceptions
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token

from tests.metering.api.conftest import Caller
from tests.support.api_server import api_stage, api_url
from tests.support.ceilometer_command import Ceilometer
from tests.support.events import make_event, store_events
from tests.support.samples import make_sample, store_samples

__all__ = ["api_stage", "api_url"]

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
CREATE = ("sample-create", "-r", "made", "-m", "cpu_util", "--meter-type", "gauge", "--meter-unit", "%")


# The database is made for tests that say they use it.
pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def commands(api_url: str) -> dict[str, Ceilometer]:
    """The command as members of each project use it, and as an operator. Those of p1 have samples: two of cpu_util on r1, an hour apart,
    and one of memory on r2."""
    store_samples(
        [
            make_sample(volume="12.5", timestamp="2016-01-05T10:00:00", metadata={"flavor": "small", "size": 5}),
            make_sample(volume="37.5", timestamp="2016-01-05T11:00:00", metadata={"flavor": "large", "size": 6}),
            make_sample(meter="memory", unit="MB", volume=512, resource="r2", timestamp="2016-01-05T11:30:00"),
        ]
    )
    store_events(
        [
            make_event(
                id="event-1", type="image.update", user="user-of-p1", size=4, at="2016-01-05T10:00:00", raw={"a": "b"}
            ),
            make_event(id="event-2", type="image.delete", user="user-of-p1", size=6, at="2016-01-05T11:00:00"),
        ]
    )
    members = {
        project: Caller(f"user-of-{project}", project) for project in ("p1", "posts", "posts-direct", "posts-lists")
    }
    callers = {**members, "operator": Caller("operator", operator=True)}
    return {name: Ceilometer(api_url, caller.token) for name, caller in callers.items()}


@pytest.fixture
def member(commands: dict[str, Ceilometer]) -> Ceilometer:
    return commands["p1"]


def test_meter_list_has_a_row_for_each_meter_of_each_resource(member):
    cpu = {"Name": "cpu_util", "Type": "gauge", "Unit": "%", "Resource ID": "r1", "User ID": "u1", "Project ID": "p1"}
    memory = {**cpu, "Name": "memory", "Unit": "MB", "Resource ID": "r2"}
    assert member.table("meter-list") == [cpu, memory]
    assert member.table("meter-list", "-q", "resource=r1", "-l", "1") == [cpu]
    assert member.table("meter-list", "--unique", "True", "-q", "resource=r2") == [
        {**memory, "Resource ID": "None", "User ID": "None", "Project ID": "None"}
    ]
    assert member.table("meter-list", "-q", "resource=nowhere") == []


def test_resource_list_and_show(member):
    row = {"Resource ID": "r1", "Source": "openstack", "User ID": "u1", "Project ID": "p1"}
    assert member.table("resource-list") == [row, {**row, "Resource ID": "r2"}]
    assert member.table("resource-list", "-q", "timestamp>=2016-01-05T11:15:00;project=p1") == [
        {**row, "Resource ID": "r2"}
    ]
    assert member.table("resource-list", "-l", "1") == [row]
    shown = member.properties("resource-show", "r1")
    assert json.loads(shown.pop("metadata")) == {"flavor": "large", "size": "6"}
    assert shown == {"project_id": "p1", "resource_id": "r1", "source": "openstack", "user_id": "u1"}
    assert "Resource not found: nope" in member.error("resource-show", "nope")


def test_sample_list_in_both_forms_is_newest_first(member):
    rows = member.table("sample-list")
    assert all(re.fullmatch(UUID, row.pop("ID")) for row in rows)
    newest = {"Resource ID": "r1", "Name": "cpu_util", "Type": "gauge", "Volume": "37.5", "Unit": "%",
              "Timestamp": "2016-01-05T11:00:00"}  # fmt: skip
    oldest = {**newest, "Volume": "12.5", "Timestamp": "2016-01-05T10:00:00"}
    memory = {**newest, "Resource ID": "r2", "Name": "memory", "Volume": "512.0", "Unit": "MB",
              "Timestamp": "2016-01-05T11:30:00"}  # fmt: skip
    assert rows == [memory, newest, oldest]
    assert member.table("sample-list", "-m", "cpu_util") == [newest, oldest]
    assert member.table("sample-list", "-m", "cpu_util", "-l", "1") == [newest]
    assert member.table("sample-list", "-m", "cpu_util", "-q", "resource_id=r1;timestamp<2016-01-05T11:00:00") == [
        oldest
    ]
    assert member.table("sample-list", "-m", "cpu_util", "-q", "metadata.flavor=string::small") == [oldest]
    assert member.table("sample-list", "-m", "cpu_util", "-q", "metadata.size=integer::6") == [newest]
    assert member.table("sample-list", "-m", "none") == []


def test_sample_show_has_all_twelve_rows(member):
    oldest = member.table("sample-list", "-q", "meter=cpu_util")[-1]["ID"]
    shown = member.properties("sample-show", oldest)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+", shown.pop("recorded_at"))
    assert json.loads(shown.pop("metadata")) == {"flavor": "small", "size": "5"}
    assert shown == {
        "id": oldest, "meter": "cpu_util", "volume": "12.5", "type": "gauge", "unit": "%", "source": "openstack",
        "resource_id": "r1", "user_id": "u1", "project_id": "p1", "timestamp": "2016-01-05T10:00:00",
    }  # fmt: skip
    assert "Sample not found: nope" in member.error("sample-show", "nope")


@pytest.mark.parametrize(("project", "direct"), [("posts", ()), ("posts-direct", ("--direct", "True"))])
def test_sample_create_stores_what_it_prints(commands, project, direct):
    poster = commands[project]
    created = poster.properties(
        *(*CREATE, "--sample-volume", "12.5", "--resource-metadata", '{"a": "b"}'),
        *("--timestamp", "2016-01-05T10:00:00", *direct),
    )
    assert re.fullmatch(UUID, created["message_id"])
    assert json.loads(created.pop("resource_metadata")) == {"a": "b"}
    sample_id = created.pop("message_id")
    assert created == {
        "name": "cpu_util", "type": "gauge", "unit": "%", "volume": "12.5", "resource_id": "made", "project_id": project,
        "user_id": f"user-of-{project}", "source": f"{project}:openstack", "timestamp": "2016-01-05T10:00:00",
    }  # fmt: skip
    assert poster.properties("sample-show", sample_id)["volume"] == "12.5"
    assert poster.table("sample-list", "-q", "metadata.a=string::b")[0]["ID"] == sample_id


def test_sample_create_is_refused_with_the_reason(member, commands):
    foreign = (*CREATE, "--sample-volume", "1", "--project-id", "p2", "--user-id", "u2")
    assert "can not post samples to other projects (HTTP 400)" in member.error(*foreign)
    assert commands["operator"].properties(*foreign)["project_id"] == "p2"
    wrong = [word if word != "gauge" else "foo" for word in CREATE]
    assert "The counter type must be: gauge, delta, cumulative (HTTP 400)" in member.error(
        *wrong, "--sample-volume", "1"
    )


def test_sample_create_list_posts_once_for_each_meter(commands):
    poster = commands["posts-lists"]
    names = ("cpu_util", "memory")
    body = [{"counter_name": name, "counter_type": "gauge", "counter_unit": "u", "counter_volume": 3, "resource_id": "listed",
             "timestamp": "2016-01-05T10:00:00"} for name in names]  # fmt: skip
    rows = poster.table("sample-create-list", json.dumps(body), "--direct", "True")
    expected = {
        "Resource ID": "listed",
        "Type": "gauge",
        "Volume": "3.0",
        "Unit": "u",
        "Timestamp": "2016-01-05T10:00:00",
    }
    assert sorted(rows, key=lambda row: row["Name"]) == [{**expected, "Name": name} for name in names]
    assert len(poster.table("sample-list")) == 2


def test_statistics_with_every_option(member):
    whole = {
        "Period": "0", "Period Start": "2016-01-05T10:00:00", "Period End": "2016-01-05T11:00:00", "Max": "37.5", "Min": "12.5",
        "Avg": "25.0", "Sum": "50.0", "Count": "2", "Duration": "3600.0", "Duration Start": "2016-01-05T10:00:00",
        "Duration End": "2016-01-05T11:00:00",
    }  # fmt: skip
    assert member.table("statistics", "-m", "cpu_util") == [whole]
    assert member.table("statistics", "-m", "none") == []
    hours = member.table("statistics", "-m", "cpu_util", "-p", "3600")
    assert [(row["Period"], row["Period Start"], row["Sum"], row["Count"]) for row in hours] == [
        ("3600", "2016-01-05T10:00:00", "12.5", "1"),
        ("3600", "2016-01-05T11:00:00", "37.5", "1"),
    ]
    (grouped,) = member.table("statistics", "-m", "cpu_util", "-g", "resource_id", "-g", "project_id")
    assert json.loads(grouped.pop("Group By").replace("'", '"')) == {"resource_id": "r1", "project_id": "p1"}
    assert grouped == whole
    chosen = member.table(
        "statistics", "-m", "cpu_util", "-a", "max", "-a", "cardinality<-resource_id", "-a", "stddev", "-a", "count"
    )
    kept = {name: value for name, value in whole.items() if name.startswith(("Period", "Duration"))}
    # The client names a column as it likes; values stand in the order that was asked for.
    assert [list(row.values()) for row in chosen] == [
        [*list(kept.values())[:3], "37.5", "1.0", "12.5", "2.0", *list(kept.values())[3:]]
    ]
    (late,) = member.table("statistics", "-m", "cpu_util", "-q", "timestamp>2016-01-05T10:30:00;metadata.flavor=large")
    assert (late["Sum"], late["Count"]) == ("37.5", "1")


def test_query_samples_takes_filter_order_and_limit_as_text(member):
    cpu = '{"=": {"meter": "cpu_util"}}'
    rows = member.table("query-samples", "-f", cpu, "-o", '[{"timestamp": "asc"}]', "-l", "2")
    assert all(re.fullmatch(UUID, row.pop("ID")) for row in rows)
    first = {"Resource ID": "r1", "Meter": "cpu_util", "Type": "gauge", "Volume": "12.5", "Unit": "%",
             "Timestamp": "2016-01-05T10:00:00"}  # fmt: skip
    assert rows == [first, {**first, "Volume": "37.5", "Timestamp": "2016-01-05T11:00:00"}]
    assert len(member.table("query-samples")) == 3
    both = f'{{"and": [{cpu}, {{"not": {{"<": {{"volume": 20}}}}}}]}}'
    assert [row["Volume"] for row in member.table("query-samples", "-f", both)] == ["37.5"]
    assert re.search(r"Filter expression not valid: .* \(HTTP 400\)", member.error("query-samples", "-f", "bad"))


def test_capabilities_are_listed_by_kind(member):
    shown = member.properties("capabilities")
    api = shown["api"].split(' "')
    assert len(api) >= 18
    assert '"statistics:aggregation:selectable:cardinality": true' in shown["api"]
    assert "storage:production_ready" in shown["storage"]


def test_event_list_and_show(member):
    first = {"Message ID": "event-1", "Event Type": "image.update", "Generated": "2016-01-05T10:00:00"}
    second = {"Message ID": "event-2", "Event Type": "image.delete", "Generated": "2016-01-05T11:00:00"}
    assert member.table("event-list", "--no-traits") == [first, second]
    assert member.table("event-list", "--no-traits", "-l", "1") == [first]
    assert member.table("event-list", "--no-traits", "-q", "event_type=image.delete;size>integer::5") == [second]
    (with_traits,) = member.table("event-list", "-q", "event_type=image.update")
    inner = with_traits.pop("Traits")
    assert {name: with_traits[name] for name in first} == first
    assert re.search(r"size *\| *integer *\| *4", inner)
    shown = member.properties("event-show", "event-1")
    assert (shown["event_type"], shown["generated"]) == ("image.update", "2016-01-05T10:00:00")
    assert json.loads(shown["raw"]) == {"a": "b"}
    assert {"name": "size", "type": "integer", "value": "4"} in json.loads(shown["traits"])
    assert "Event not found: nope" in member.error("event-show", "nope")


def test_event_types_and_traits_are_listed_for_operators(commands, member):
    operator = commands["operator"]
    assert operator.table("event-type-list") == [{"Event Type": "image.delete"}, {"Event Type": "image.update"}]
    assert operator.table("trait-description-list", "-e", "image.update") == [
        {"Trait Name": "project_id", "Data Type": "string"},
        {"Trait Name": "size", "Data Type": "integer"},
        {"Trait Name": "user_id", "Data Type": "string"},
    ]
    assert operator.table("trait-list", "-e", "image.update", "-t", "size") == [
        {"Trait Name": "size", "Value": "4", "Data Type": "integer"}
    ]
    assert operator.table("trait-list", "-e", "nothing", "-t", "size") == []
    # Refused by 401, after which the client forgets its token.
    assert "Authentication failed" in member.error("event-type-list")


def test_bad_input_is_said_in_a_line(member):
    assert "unable to convert to int" in member.error("meter-list", "-l", "abc")
    assert 'Unknown argument: "foo": unrecognized field in query' in member.error("meter-list", "-q", "foo=1")
    assert "Limit must be positive (HTTP 400)" in member.error("sample-list", "-l", "0")
    assert "Period must be positive. (HTTP 400)" in member.error("statistics", "-m", "cpu_util", "-p", "-1")


def test_a_wrong_token_is_told_as_one(api_url):
    assert "Authentication failed" in Ceilometer(api_url, "wrong").error("meter-list")


def as_token(url: str, token: str) -> object:
    return ceilometer_client.get_client(2, os_token=token, os_endpoint=url)


def as_session(url: str, token: str) -> object:
    return ceilometer_client.get_client(2, session=Session(auth=Token(url, token)))


@pytest.mark.parametrize("connect", [as_token, as_session])
def test_the_library_reads_and_writes(
    api_url: str, commands: dict[str, Ceilometer], connect: Callable[[str, str], object]
) -> None:
    client = connect(api_url, commands["p1"].token)
    assert [meter.name for meter in client.meters.list()] == ["cpu_util", "memory"]
    assert client.meters.list(unique=True)[0].resource_id is None
    resource, *_ = client.resources.list(links=True)
    assert [link["rel"] for link in resource.links] == ["self", "cpu_util"]
    assert client.resources.get("r2").metadata == {}
    # Operator and type are sent as empty text when they are left out.
    late = [{"field": "timestamp", "op": "gt", "value": "2016-01-05T10:30:00"}, {"field": "resource_id", "value": "r1"}]
    (sample,) = client.new_samples.list(q=late)
    assert (sample.volume, client.new_samples.get(sample.id).meter) == (37.5, "cpu_util")
    rows = client.statistics.list("cpu_util", period=3600, groupby=["resource_id"])
    assert [(row.groupby, row.sum) for row in rows] == [({"resource_id": "r1"}, 12.5), ({"resource_id": "r1"}, 37.5)]
    writer = connect(api_url, commands["posts"].token)
    (created,) = writer.samples.create(
        counter_name=connect.__name__,
        counter_type="gauge",
        counter_unit="piece",
        counter_volume="0.1",
        resource_id="tree",
    )
    (stored,) = writer.samples.list(meter_name=connect.__name__)
    assert (stored.message_id, Decimal(str(stored.counter_volume))) == (created.message_id, Decimal("0.1"))
    with pytest.raises((exceptions.HttpError, ceilometer_client.exc.HTTPException)) as raised:
        client.meters.list(limit="abc")
    assert "unable to convert to int" in str(raised.value)
