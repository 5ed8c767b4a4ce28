"""python-ceilometerclient's commands for alarms, unmodified, against a running server."""

from __future__ import annotations

import re

import pytest
from ceilometerclient import client as ceilometer_client

from tests.metering.api.conftest import Caller
from tests.support.api_server import api_stage, api_url
from tests.support.ceilometer_command import Ceilometer

__all__ = ["api_stage", "api_url"]

pytestmark = pytest.mark.django_db
THRESHOLD = ("--name", "full", "-m", "cpu_util", "--threshold", "80", "--comparison-operator", "gt")


@pytest.fixture(scope="module")
def commands(api_url: str) -> dict[str, Ceilometer]:
    callers = {project: Caller(f"user-of-{project}", project) for project in ("p1", "p2", "combined", "kinds")}
    return {name: Ceilometer(api_url, caller.token) for name, caller in callers.items()}


@pytest.fixture
def member(commands: dict[str, Ceilometer]) -> Ceilometer:
    return commands["p1"]


def test_a_threshold_alarm_from_its_making_to_its_end(member, commands):
    made = member.properties(
        *("alarm-threshold-create", *THRESHOLD, "--statistic", "max", "--period", "300", "--evaluation-periods", "3"),
        *("-q", "resource_id=r1", "--alarm-action", "http://a.example/", "--severity", "moderate"),
        *("--time-constraint", "name=noon;start=0 12 * * *;duration=60"),
    )
    alarm_id = made["alarm_id"]
    shown = {"type": "threshold", "threshold": "80.0", "statistic": "max", "period": "300", "evaluation_periods": "3",
             "severity": "moderate", "state": "insufficient data", "project_id": "p1", "user_id": "user-of-p1",
             "comparison_operator": "gt", "exclude_outliers": "False"}  # fmt: skip
    assert {name: made[name] for name in shown} == shown
    assert member.properties("alarm-show", alarm_id) == made
    (row,) = member.table("alarm-list", "-q", "severity=moderate;state=insufficient data")
    assert (row["Alarm ID"], row["Name"], row["Alarm condition"]) == (
        alarm_id,
        "full",
        "max(cpu_util) > 80.0 during 3 x 300s",
    )
    assert row["Time constraints"] == "noon at 0 12 * * *  for 60s"
    assert member.properties("alarm-threshold-update", alarm_id, "--threshold", "90")["threshold"] == "90.0"
    assert member.properties("alarm-update", alarm_id, "--enabled", "False")["enabled"] == "False"
    assert member.properties("alarm-state-set", "--state", "alarm", alarm_id) == {"state": "alarm"}
    assert member.properties("alarm-state-get", alarm_id) == {"state": "alarm"}
    kinds = [row["Type"] for row in member.table("alarm-history", alarm_id)]
    assert kinds == ["state transition", "rule change", "rule change", "creation"]
    (changed,) = member.table("alarm-history", alarm_id, "-q", "type=state transition")
    assert changed["Detail"] == "state: alarm"
    assert "Alarm not found" in commands["p2"].error("alarm-show", alarm_id)
    done = member.run("alarm-delete", alarm_id)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Alarm not found" in member.error("alarm-show", alarm_id)
    assert member.table("alarm-list") == []


def test_the_oldest_way_to_make_one(commands):
    made = commands["kinds"].properties("alarm-create", *THRESHOLD, "--matching-metadata", "metadata.flavor=small")
    assert (made["threshold"], made["meter_name"]) == ("80.0", "cpu_util")


def test_a_combination_of_alarms(commands):
    member = commands["combined"]
    first, second = (member.properties("alarm-event-create", "--name", name)["alarm_id"] for name in "ab")
    made = member.properties(
        "alarm-combination-create", "--name", "both", "--alarm_ids", first, "--alarm_ids", second, "--operator", "or"
    )
    assert made["description"] == f"Combined state of alarms {first} or {second}"
    assert member.table("query-alarms", "-f", '{"=": {"type": "combination"}}')[0]["Name"] == "both"
    nobody = "00000000-0000-4000-8000-000000000000"
    wrong = ("alarm-combination-create", "--name", "x", "--alarm_ids", first, "--alarm_ids", nobody)
    assert f"Alarm {nobody} not found in project combined (HTTP 404)" in member.error(*wrong)
    rows = member.table(
        "query-alarm-history", "-f", '{"=": {"type": "creation"}}', "-o", '[{"timestamp": "asc"}]', "-l", "2"
    )
    assert [row["Alarm ID"] for row in rows] == [first, second]


def test_what_is_wrong_is_told_in_a_line(member):
    assert "Unknown argument" in member.error("alarm-list", "-q", "nope=1")
    assert re.search(r"Value should be one of: .* \(HTTP 400\)", member.error(
        "alarm-threshold-create", *THRESHOLD, "--statistic", "stddev"))  # fmt: skip
    assert "Alarm not found" in member.error("alarm-history", "00000000-0000-4000-8000-000000000000")


def test_the_library_reads_and_writes(api_url, commands):
    client = ceilometer_client.get_client(2, os_token=commands["p2"].token, os_endpoint=api_url)
    made = client.alarms.create(name="lib", threshold_rule={"meter_name": "m", "threshold": 1}, type="threshold")
    assert (made.rule["threshold"], made.id) == (1.0, made.alarm_id)
    assert client.alarms.update(made.id, threshold_rule={"threshold": 2}, severity="low").rule["threshold"] == 2.0
    assert client.alarms.set_state(made.id, "ok") == client.alarms.get_state(made.id) == "ok"
    assert [row.type for row in client.alarms.get_history(made.id)] == ["state transition", "rule change", "creation"]
    client.alarms.delete(made.id)
    assert client.alarms.get(made.id) is None
