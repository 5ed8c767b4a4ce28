"""What may be done with what paths find."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from agents.notifications.definitions.paths import compile_path
from agents.notifications.definitions.plugins import BadPlugin, make_plugin


def run(name: str, parameters: Any, document: Any, *paths: str) -> tuple[list[Any], list[str]]:
    told: list[str] = []
    matches = [match for path in paths for match in compile_path(path).matches(document) if match.value is not None]
    return make_plugin(name, parameters)(matches, told.append), told


@pytest.mark.parametrize(
    ("parameters", "value", "result"),
    [
        (None, "a.b.c", "a"),
        ({"segment": 2}, "a.b.c", "c"),
        ({"segment": 1, "max_split": 1}, "a.b.c", "b.c"),
        ({"segment": 3}, "a.b.c", None),
        ({"segment": -1}, "a.b.c", "c"),
        ({"separator": "@", "segment": 1}, "stor-02@ceph", "ceph"),
        (None, 5, None),
    ],
)
def test_split_takes_one_part_of_a_text(parameters: Any, value: Any, result: Any) -> None:
    assert run("split", parameters, {"a": value}, "$.a") == ([result], [])


def test_split_takes_a_part_of_each_value() -> None:
    assert run("split", {"segment": 1}, {"a": ["x.1", "y", "z.3"]}, "$.a[*]") == (["1", None, "3"], [])


FLAGS = {
    "initial_bitfield": 8,
    "flags": [
        {"path": "payload.foo", "bit": 0, "value": 42},
        {"path": "$.payload.foo", "bit": 1, "value": 12},
        {"path": "payload.thing[0].on", "bit": 2, "value": True},
        {"path": 'payload."nova_object.data".bar', "bit": 10},
    ],
}


@pytest.mark.parametrize(
    ("payload", "bits"),
    [
        ({}, 8),
        ({"foo": 42}, 9),
        ({"foo": "12"}, 10),
        ({"foo": 42, "bar": "anything"}, 8 + 1 + 1024),
        ({"bar": None}, 8),
        ({"thing": [{"on": True}]}, 12),
        ({"thing": [{"on": False}, {"on": True}]}, 8),
    ],
)
def test_bitfield_sets_a_bit_for_each_place_that_is_there_and_equal(payload: dict[str, Any], bits: int) -> None:
    paths = ("payload.foo", "payload.bar", "payload.thing[*].on")
    assert run("bitfield", FLAGS, {"payload": payload}, *paths) == ([bits], [])


@pytest.mark.parametrize(
    ("begin", "end", "seconds"),
    [
        ("2026-03-14 09:26:12+00:00", "2026-03-14T09:26:40.000000", 28),
        ("2026-03-14T09:26:40.000000", "2026-03-14 09:26:12+00:00", 28),
        ("2026-03-14 09:26:12", "2026-03-14 09:26:12.000001", Decimal("0.000001")),
        ("2026-03-14 09:00:00", "2026-03-14 10:00:00", 3600),
    ],
)
def test_timedelta_is_the_time_between_two_never_negative_and_exact(begin: str, end: str, seconds: Any) -> None:
    assert run("timedelta", None, {"a": begin, "b": end}, "$.a", "$.b") == ([seconds], [])


def test_timedelta_needs_two_times() -> None:
    assert run("timedelta", None, {"a": "2026-03-14 09:00:00", "b": ""}, "$.a", "$.b") == ([], [])
    assert run("timedelta", None, {"a": "2026-03-14 09:00:00", "b": None}, "$.a", "$.b") == ([], [])
    values, told = run("timedelta", None, {"a": "2026-03-14 09:00:00", "b": "soon"}, "$.a", "$.b")
    assert values == [] and "'soon'" in told[0]


def test_map_gives_what_stands_for_a_value_and_tells_of_others() -> None:
    parameters = {"values": {"Active": 1, 2: "two", True: "yes"}, "default": 0}
    values, told = run("map", parameters, {"a": ["Active", "active", 2, True, 1, [3]]}, "$.a[*]")
    assert values == [1, 0, "two", "yes", 0, 0]
    assert len(told) == 3 and "'active'" in told[0]
    assert run("map", parameters | {"case_sensitive": False}, {"a": "aCTIVE"}, "$.a") == ([1], [])
    assert run("map", {}, {"a": 1}, "$.a")[0] == [None]


@pytest.mark.parametrize(
    ("name", "parameters", "complaint"),
    [
        ("spilt", None, "plugin 'spilt': expected one of split, bitfield, timedelta, map"),
        (["split"], None, "expected one of"),
        ("split", ["."], "expected a mapping"),
        ("split", {"seperator": "."}, "unknown parameter 'seperator' of the plugin split; known are separator"),
        ("split", {"separator": ""}, "separator ''"),
        ("split", {"segment": "1"}, "segment '1': expected a whole number"),
        ("split", {"max_split": True}, "max_split True"),
        ("timedelta", {"a": 1}, "unknown parameter 'a' of the plugin timedelta, which has none"),
        ("map", {"values": []}, "values []: expected a mapping"),
        ("map", {"case_sensitive": 1}, "case_sensitive 1: expected true or false"),
        ("bitfield", {"flags": {}}, "flags {}: expected a list"),
        ("bitfield", {"flags": [{"path": "a"}]}, "expected path, bit and perhaps value"),
        ("bitfield", {"flags": [{"path": "a", "bit": 128}]}, "bit 128: expected 0 to 127"),
        ("bitfield", {"flags": [{"path": "a[*]", "bit": 1}]}, "nothing but fields and numbers"),
        ("bitfield", {"flags": [{"path": 1, "bit": 1}]}, "path 1: expected text"),
    ],
)
def test_a_plugin_that_cannot_be_made_is_told_by_name(name: Any, parameters: Any, complaint: str) -> None:
    with pytest.raises(BadPlugin) as error:
        make_plugin(name, parameters)
    assert complaint in str(error.value)
