"""aodhclient 3.12, unmodified, against a running server: every command, and the library."""

from __future__ import annotations

import json
import re
from uuid import uuid4

import pytest
from aodhclient import client as aodh_client
from aodhclient import exceptions
from keystoneauth1.session import Session
from keystoneauth1.token_endpoint import Token

from tests.metering.api.conftest import Caller
from tests.support.aodh_command import Aodh
from tests.support.api_server import api_stage, api_url

__all__ = ["api_stage", "api_url"]

UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
NOBODY = "00000000-0000-4000-8000-000000000000"
GNOCCHI = (
    "--metric",
    "cpu_util",
    "--threshold",
    "5",
    "--resource-id",
    "r1",
    "--resource-type",
    "generic",
    "--aggregation-method",
    "last",
)

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def commands(api_url: str) -> dict[str, Aodh]:
    """The command as a member of p1 uses it, as a member of p2, and as an operator."""
    callers = {project: Caller(f"user-of-{project}", project) for project in ("p1", "p2", "listed", "told")}
    callers["operator"] = Caller("operator", operator=True)
    return {name: Aodh(api_url, caller.token) for name, caller in callers.items()}


@pytest.fixture
def aodh(commands: dict[str, Aodh]) -> Aodh:
    return commands["p1"]


@pytest.mark.parametrize("name", [f"{uuid4()}", "normal-alarm-name"])
def test_an_alarm_is_found_by_id_and_by_name(aodh, name):
    """After the client's own functional tests."""
    alarm_id = aodh.ask("alarm", "create", "--type", "event", "--name", name)["alarm_id"]
    assert aodh.ask("alarm", "show", name)["alarm_id"] == alarm_id
    assert aodh.ask("alarm", "show", alarm_id)["alarm_id"] == alarm_id
    assert aodh.ask("alarm", "show", "--name", name)["alarm_id"] == alarm_id
    assert aodh.ask("alarm", "update", "--state", "ok", name)["state"] == "ok"
    assert aodh.ask("alarm", "update", "--state", "alarm", alarm_id)["state"] == "alarm"
    assert aodh.ask("alarm", "update", "--name", "another-name", name)["name"] == "another-name"
    assert aodh.ask("alarm", "update", "--name", name, alarm_id)["name"] == name
    assert aodh.ask("alarm", "update", "--name", name, name)["name"] == name
    assert aodh.ask("alarm", "state", "get", name) == {"state": "alarm"}
    assert aodh.ask("alarm", "state", "set", "--state", "ok", alarm_id) == {"state": "ok"}
    assert aodh.ask("alarm", "state", "get", alarm_id) == {"state": "ok"}
    aodh.tell("alarm", "delete", name)
    assert f"Alarm {alarm_id} not found" in aodh.error("alarm", "show", alarm_id)
    assert f"Alarm {alarm_id} not found" in aodh.error("alarm", "delete", alarm_id)


def test_a_threshold_alarm_with_everything(aodh):
    created = aodh.ask(
        *("alarm", "create", "--type", "threshold", "--name", "full", "--meter-name", "cpu_util", "--threshold", "80"),
        *("--comparison-operator", "gt", "--statistic", "max", "--period", "300", "--evaluation-periods", "3"),
        *("--query", "resource_id=r1;metadata.flavor=string::small", "--severity", "critical", "--description", "told"),
        *(
            "--alarm-action",
            "http://a.example/x",
            "--alarm-action",
            "http://b.example/",
            "--ok-action",
            "https://c.example/",
        ),
        *("--repeat-actions", "True", "--enabled", "False"),
        *("--time-constraint", "name=noon;start=0 12 * * *;duration=3600;timezone=Europe/Ljubljana"),
    )
    assert re.fullmatch(UUID, created["alarm_id"])
    constraint = {
        "name": "noon", "start": "0 12 * * *", "duration": 3600, "timezone": "Europe/Ljubljana",
        "description": "Time constraint at 0 12 * * * lasting for 3600 seconds",
    }  # fmt: skip
    assert json.loads(created["time_constraints"]) == [constraint]
    expected = {
        "meter_name": "cpu_util", "threshold": 80.0, "comparison_operator": "gt", "statistic": "max", "period": 300,
        "evaluation_periods": 3, "query": "resource_id = r1 AND\nmetadata.flavor = small AND\nproject_id = p1",
        "severity": "critical", "description": "told", "alarm_actions": ["http://a.example/x", "http://b.example/"],
        "ok_actions": ["https://c.example/"], "insufficient_data_actions": [], "repeat_actions": True, "enabled": False,
        "state": "insufficient data", "state_reason": "Not evaluated yet", "project_id": "p1", "user_id": "user-of-p1",
    }  # fmt: skip
    assert {name: created[name] for name in expected} == expected
    alarm_id = created["alarm_id"]
    updated = aodh.ask("alarm", "update", alarm_id, "--threshold", "90", "--severity", "low", "--alarm-action", "")
    assert (updated["threshold"], updated["severity"], updated["alarm_actions"]) == (90.0, "low", [])
    assert updated["query"] == expected["query"]
    changed = aodh.ask("alarm", "update", alarm_id, "--type", "event", "--event-type", "dummy")
    assert (changed["type"], changed["event_type"]) == ("event", "dummy")
    aodh.tell("alarm", "delete", alarm_id)


def test_every_type_that_the_command_knows(aodh):
    by_resource = aodh.ask("alarm", "create", "--type", "gnocchi_resources_threshold", "--name", "g1", *GNOCCHI)
    assert (by_resource["metric"], by_resource["granularity"], by_resource["aggregation_method"]) == (
        "cpu_util",
        60,
        "last",
    )
    by_metrics = aodh.ask(
        *("alarm", "create", "--type", "gnocchi_aggregation_by_metrics_threshold", "--name", "g2", "--metrics", "m1"),
        *("--metrics", "m2", "--threshold", "5", "--aggregation-method", "mean", "--granularity", "300"),
    )
    assert (by_metrics["metrics"], by_metrics["granularity"]) == (["m1", "m2"], 300)
    by_resources = aodh.ask(
        *("alarm", "create", "--type", "gnocchi_aggregation_by_resources_threshold", "--name", "g3", "--metric", "cpu"),
        *(
            "--threshold",
            "5",
            "--aggregation-method",
            "mean",
            "--resource-type",
            "instance",
            "--query",
            '{"=": {"ended_at": null}}',
        ),
    )
    assert json.loads(by_resources["query"]) == {"=": {"ended_at": None}}
    tree = {"or": [
        {"type": "threshold", "meter_name": "cpu_util", "threshold": 80},
        {"and": [{"type": "gnocchi_resources_threshold", "metric": "m", "resource_id": "r", "resource_type": "generic",
                  "aggregation_method": "mean", "threshold": 1}] * 2},
    ]}  # fmt: skip
    composite = aodh.ask("alarm", "create", "--type", "composite", "--name", "c", "--composite-rule", json.dumps(tree))
    shown = json.loads(composite["composite_rule"])
    assert shown["or"][0]["statistic"] == "avg"
    assert shown["or"][1]["and"][1]["granularity"] == 60
    prometheus = aodh.ask("alarm", "create", "--type", "prometheus", "--name", "p", "--query", "up", "--threshold", "1")
    assert (prometheus["query"], prometheus["comparison_operator"]) == ("up", "eq")
    balanced = aodh.ask(
        *("alarm", "create", "--type", "loadbalancer_member_health", "--name", "l"),
        *("--pool-id", "a", "--stack-id", "b", "--autoscaling-group-id", "c"),
    )
    assert (balanced["pool_id"], balanced["stack_id"], balanced["autoscaling_group_id"]) == ("a", "b", "c")
    event = aodh.ask(
        *("alarm", "create", "--type", "event", "--name", "e", "--event-type", "compute.*"),
        *("--query", "traits.project_id=789;traits.memory_mb>integer::512"),
    )
    assert event["query"] == "traits.project_id = 789 AND\ntraits.memory_mb > 512"
    for name in ("g1", "g2", "g3", "c", "p", "l", "e"):
        aodh.tell("alarm", "delete", name)


def test_lists_are_filtered_ordered_and_paged(commands):
    aodh = commands["listed"]
    for name, severity in (("b", "low"), ("a", "critical"), ("c", "moderate")):
        aodh.ask("alarm", "create", "--type", "event", "--name", name, "--severity", severity)
    columns = {"alarm_id", "type", "name", "state", "severity", "enabled"}
    rows = aodh.ask("alarm", "list")
    assert [row["name"] for row in rows] == ["c", "a", "b"]
    assert set(rows[0]) == columns
    assert [row["name"] for row in aodh.ask("alarm", "list", "--sort", "severity:desc")] == ["a", "c", "b"]
    assert [
        row["name"] for row in aodh.ask("alarm", "list", "--filter", "severity=low", "--filter", "enabled=true")
    ] == ["b"]
    first = aodh.ask("alarm", "list", "--sort", "name:asc", "--limit", "2")
    assert [row["name"] for row in first] == ["a", "b"]
    rest = aodh.ask("alarm", "list", "--sort", "name:asc", "--marker", first[-1]["alarm_id"])
    assert [row["name"] for row in rest] == ["c"]
    found = aodh.ask("alarm", "list", "--query", "name=a or (severity=low and enabled=true)")
    assert sorted(row["name"] for row in found) == ["a", "b"]
    assert "HTTP 401" in aodh.error("alarm", "list", "--filter", "project_id=p2")
    assert "HTTP 403" in aodh.error("alarm", "list", "--filter", "all_projects=true")
    everybodys = commands["operator"].ask("alarm", "list", "--filter", "all_projects=true")
    assert {"a", "b", "c"} <= {row["name"] for row in everybodys}
    of_project = commands["operator"].ask("alarm", "list", "--query", "project_id=listed")
    assert sorted(row["name"] for row in of_project) == ["a", "b", "c"]


def test_another_tenant_sees_nothing_of_it(aodh, commands):
    alarm_id = aodh.ask("alarm", "create", "--type", "event", "--name", "mine")["alarm_id"]
    other = commands["p2"]
    assert other.ask("alarm", "list") == []
    for words in (("show",), ("delete",), ("update", "--state", "ok"), ("state", "get")):
        assert "not found" in other.error("alarm", *words, alarm_id)
    assert "HTTP 404" in other.error("alarm-history", "show", alarm_id)
    assert other.ask("alarm-history", "search", "--query", f"alarm_id={alarm_id}") == []
    aodh.tell("alarm", "delete", alarm_id)


def test_history_is_shown_and_searched(commands):
    aodh = commands["told"]
    alarm_id = aodh.ask("alarm", "create", "--type", "gnocchi_resources_threshold", "--name", "history1", *GNOCCHI)[
        "alarm_id"
    ]
    aodh.ask("alarm", "update", alarm_id, "--severity", "critical")
    aodh.ask("alarm", "state", "set", "--state", "alarm", alarm_id)
    rows = aodh.ask("alarm-history", "show", alarm_id)
    assert [row["type"] for row in rows] == ["state transition", "rule change", "creation"]
    assert set(rows[0]) == {"timestamp", "type", "detail", "event_id"}
    assert json.loads(rows[2]["detail"])["name"] == "history1"
    assert json.loads(rows[1]["detail"]) == {"severity": "critical"}
    assert len(aodh.ask("alarm-history", "show", alarm_id, "--limit", "1")) == 1
    ordered = aodh.ask("alarm-history", "show", alarm_id, "--sort", "type:asc", "--sort", "timestamp:asc")
    assert [row["type"] for row in ordered] == ["creation", "rule change", "state transition"]
    behind = aodh.ask("alarm-history", "show", alarm_id, "--marker", rows[0]["event_id"])
    assert behind == rows[1:]
    found = aodh.ask("alarm-history", "search", "--query", f"alarm_id={alarm_id}")
    assert [row["type"] for row in found] == [row["type"] for row in rows]
    aodh.tell("alarm", "delete", alarm_id)
    assert aodh.ask("alarm-history", "show", alarm_id)[0]["type"] == "deletion"
    assert len(aodh.ask("alarm-history", "search")) == 4


def test_capabilities_are_listed(aodh):
    shown = aodh.ask("capabilities", "list")
    assert shown["api"]["alarms:query:complex"] is True
    assert shown["alarm_storage"] == {"storage:production_ready": True}


def test_what_is_wrong_is_told_in_a_line(aodh):
    assert "evaluations are not counted here" in aodh.error("alarm", "metrics")
    wrong = ("alarm", "create", "--type", "event", "--name", "x", "--alarm-action", "ftp://a.example/")
    assert "Unsupported action ftp://a.example/" in aodh.error(*wrong)
    assert "HTTP 401" in aodh.error("alarm", "create", "--type", "event", "--name", "x", "--project-id", "p2")
    assert "Unable to convert" in aodh.error(
        "alarm", "create", "--type", "event", "--name", "x", "--query", "traits.a=integer::x"
    )
    assert "HTTP 400" in aodh.error("alarm", "list", "--sort", "nope")
    assert "HTTP 401" in Aodh(aodh.url, "wrong").error("alarm", "list")


def test_the_library_reads_and_writes(api_url, commands):
    session = Session(auth=Token(api_url, commands["p2"].token))
    client = aodh_client.Client("2", session=session)
    alarm = client.alarm.create(
        {"name": "lib", "type": "threshold", "threshold_rule": {"meter_name": "m", "threshold": 1.5}}
    )
    assert alarm["threshold_rule"]["threshold"] == 1.5
    alarm_id = alarm["alarm_id"]
    assert client.alarm.get(alarm_id) == alarm
    assert client.alarm.list(filters={"name": "lib", "state": "insufficient data"}, sorts=["name:asc"], limit=5) == [
        alarm
    ]
    assert client.alarm.query('{"=": {"name": "lib"}}') == [alarm]
    updated = client.alarm.update(alarm_id, {"threshold_rule": {"threshold": 2}, "severity": "moderate"})
    assert (updated["threshold_rule"]["threshold"], updated["severity"]) == (2.0, "moderate")
    assert client.alarm.set_state(alarm_id, "alarm") == client.alarm.get_state(alarm_id) == "alarm"
    assert [row["type"] for row in client.alarm_history.get(alarm_id)] == [
        "state transition",
        "rule change",
        "creation",
    ]
    assert len(client.alarm_history.search(json.dumps({"=": {"type": "creation"}}))) == 1
    client.alarm.delete(alarm_id)
    with pytest.raises(exceptions.NotFound) as raised:
        client.alarm.get(alarm_id)
    assert str(raised.value).startswith(f"Alarm {alarm_id} not found")
    assert client.quota.list()["quotas"] == [{"resource": "alarms", "limit": -1}]
    with pytest.raises(exceptions.Forbidden):
        client.quota.create("p2", [{"resource": "alarms", "limit": 5}])


def test_operators_set_quotas_by_the_library(api_url, commands):
    client = aodh_client.Client("2", session=Session(auth=Token(api_url, commands["operator"].token)))
    assert client.quota.create("bounded", [{"resource": "alarms", "limit": 5}]) == client.quota.list(project="bounded")
    assert client.quota.list(project="bounded") == {
        "project_id": "bounded",
        "quotas": [{"resource": "alarms", "limit": 5}],
    }
