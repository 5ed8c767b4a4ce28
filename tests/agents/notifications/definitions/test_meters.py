"""meters.yaml: which samples are made of a notification, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.definition_files import BadDefinitions
from agents.notifications.definitions.meters import MeterDefinitions, read_meters
from metering.messages import Sample, SampleCheck

from .notifications import SENT_AT, VOLUME, Reports, notification

SIZE = """
name: volume.size
event_type: volume.exists
type: gauge
unit: GiB
volume: $.payload.size
resource_id: $.payload.volume_id
"""


def definitions(tmp_path: Path, *entries: str) -> MeterDefinitions:
    """Entries as YAML of a mapping each; keys that stand in an entry for the second time count."""
    lines = ["metric:"]
    for entry in entries:
        fields: dict[str, list[str]] = {}
        for line in entry.strip().splitlines():
            if not line.startswith((" ", "-")):
                key = line.split(":")[0]
                fields[key] = []
            fields[key].append(line)
        text = [line for field in fields.values() for line in field]
        lines += [("  - " if number == 0 else "    ") + line for number, line in enumerate(text)]
    path = tmp_path / "meters.yaml"
    path.write_text("\n".join(lines))
    return read_meters([path], source="openstack")


def samples(tmp_path: Path, entry: str, payload: Any = VOLUME, **more: Any) -> tuple[list[Sample], list[str]]:
    reports = Reports()
    made = definitions(tmp_path, SIZE + entry).samples(notification(payload=payload, **more), report=reports)
    return made, [what for _, what in reports]


def test_a_sample_says_what_the_definition_says(tmp_path: Path) -> None:
    (sample,), told = samples(tmp_path, "metadata: {name: $.payload.display_name}")
    assert told == []
    assert (sample.meter.name, sample.meter.type, sample.meter.unit, sample.volume) == (
        "volume.size",
        "gauge",
        "GiB",
        "120",
    )
    assert sample.timestamp == SENT_AT
    resource = sample.resource
    assert (resource.id, resource.source, resource.project, resource.user) == ("v1", "openstack", "p1", "u1")
    assert resource.metadata == {"name": "data"}


@pytest.mark.parametrize("unit", ["B", "%", "B/s", "request/s", "payload.size", "(B)"])
def test_a_text_is_a_path_only_if_it_begins_with_a_dollar(tmp_path: Path, unit: str) -> None:
    (sample,), _ = samples(tmp_path, f"unit: '{unit}'")
    assert sample.meter.unit == unit


@pytest.mark.parametrize(
    ("volume", "text"),
    [
        ("0", "0"),
        ("1.5", "1.5"),
        ("'2'", "2"),
        ("$.payload.size", "120"),
        ("{path: payload.size}", "120"),
        ("{path: [payload.missing, payload.size]}", "120"),
        ("[$.payload.missing, $.payload.size]", "120"),
        ("$.payload.missing|$.payload.size", "120"),
        ("($.payload.missing)|($.payload.size)", "120"),
        ("[$.payload.none, $.payload.zero, $.payload.size]", "0"),
        ("$.payload.tenth * 100", "10"),
        ("$.payload.large", "18446744073709551615"),
        ("$.payload.text", "12.50"),
        ("$.payload.sensor.`split( , 0, -1)`", "39"),
        ("{fields: [$.payload.begin, payload.end], plugin: timedelta}", "28"),
        ("{fields: payload.sensor, plugin: {name: split, parameters: {separator: ' '}}}", "39"),
    ],
)
def test_forms_of_a_volume(tmp_path: Path, volume: str, text: str) -> None:
    more = {
        "none": None,
        "zero": 0,
        "tenth": 0.1,
        "large": 2**64 - 1,
        "text": "12.50",
        "sensor": "39 degrees C",
        "begin": "2026-03-14 09:26:12+00:00",
        "end": "2026-03-14T09:26:40.000000",
    }
    (sample,), told = samples(tmp_path, f"volume: {volume}", VOLUME | more)
    assert (sample.volume, told) == (text, [])


@pytest.mark.parametrize("value", [None, True, False, "", "many", "1_000", [1], {"a": 1}, 10**70])
def test_what_is_no_volume_is_a_gap_with_a_reason(tmp_path: Path, value: Any) -> None:
    made, (what,) = samples(tmp_path, "", VOLUME | {"size": value})
    assert made == []
    assert what.startswith("meter volume.size: volume") and (repr(value) in what or value is None or value == 10**70)


@given(
    st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False, min_value=-1e30, max_value=1e30)
)
@settings(deadline=None)
def test_a_volume_is_exactly_the_number_of_the_payload(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    made, told = samples(tmp_path_factory.mktemp("meters"), "", VOLUME | {"size": value})
    if made:
        assert type(value)(made[0].volume) == value
    else:
        assert "at most 64 characters" in told[0]


@pytest.mark.parametrize(
    ("event_type", "pattern", "is_matched"),
    [
        ("volume.exists", "volume.exists", True),
        ("volume.exists_x", "volume.exists", True),
        ("l3.meter.label", "l3.meter", True),
        ("volumeXexists", "volume.exists", True),
        ("my.volume.exists", "volume.exists", False),
        ("compute.instance.create.end", "compute.instance.(?!create.start|update).*", True),
        ("compute.instance.update", "compute.instance.(?!create.start|update).*", False),
        ("image.delete", "[image.upload, image.delete]", True),
    ],
)
def test_event_types_are_regular_expressions_from_the_start(
    tmp_path: Path, event_type: str, pattern: str, is_matched: bool
) -> None:
    made, _ = samples(tmp_path, f"event_type: {pattern}", event_type=event_type)
    assert bool(made) is is_matched


def test_all_definitions_that_match_make_samples_and_share_what_describes_alike(tmp_path: Path) -> None:
    other = SIZE.replace("volume.size", "volume")
    third = other.replace("name: volume", "name: third") + "metadata: {size: $.payload.size}"
    made = definitions(tmp_path, SIZE, other, third).samples(notification(), report=Reports())
    assert sorted(sample.meter.name for sample in made) == ["third", "volume", "volume.size"]
    assert len({id(sample.resource) for sample in made}) == 2


@pytest.mark.parametrize(("priority", "count"), [("INFO", 1), ("SAMPLE", 1), ("ERROR", 0), ("WARN", 0), ("AUDIT", 0)])
def test_error_notifications_never_make_samples(tmp_path: Path, priority: str, count: int) -> None:
    assert len(samples(tmp_path, "", priority=priority)[0]) == count


@pytest.mark.parametrize(
    ("payload", "ctxt", "project", "user"),
    [
        ({"project_id": "a", "tenant_id": "b", "user_id": "u"}, {"project_id": "c", "user_id": "x"}, "a", "u"),
        ({"project_id": None, "tenant_id": "b"}, {"user_id": None, "user": "y"}, "b", "y"),
        ({"owner": "o", "project_id": ""}, {}, "o", None),
        ({"initiator": {"id": "i", "project_id": "ip"}}, {}, "ip", "i"),
        ({"initiator": {"id": "i", "user_id": "iu"}}, {"project": "cp"}, "cp", "iu"),
        ({"initiator": "no object", "user_id": {"id": 1}}, {"tenant_id": "t"}, "t", None),
        ({}, {"tenant": "last"}, "last", None),
        ({}, {}, None, None),
    ],
)
def test_whose_it_is_by_default(tmp_path: Path, payload: Any, ctxt: Any, project: str | None, user: str | None) -> None:
    (sample,), _ = samples(tmp_path, "", {"volume_id": "v", "size": 1} | payload, ctxt=ctxt)
    assert (sample.resource.project, sample.resource.user) == (project, user)


def test_whose_it_is_as_the_definition_says_and_nobody_else_s(tmp_path: Path) -> None:
    entry = "project_id: $.payload.owner_id\nuser_id: [ctxt.user_id, ctxt.user]"
    (sample,), _ = samples(tmp_path, entry, ctxt={"user": "u9", "project_id": "admin"})
    assert (sample.resource.project, sample.resource.user) == (None, "u9")


def test_a_fallback_in_one_path_is_followed(tmp_path: Path) -> None:
    (sample,), _ = samples(tmp_path, "user_id: $.ctxt.user_id|$.ctxt.user", ctxt={"user": "u9"})
    assert sample.resource.user == "u9"


@pytest.mark.parametrize(
    ("value", "timestamp"),
    [("2026-03-14T09:45:30.000000", 1773481530000000), (None, SENT_AT), ("", SENT_AT)],
)
def test_the_time_is_the_message_s_unless_the_definition_finds_one(tmp_path: Path, value: Any, timestamp: int) -> None:
    (sample,), _ = samples(tmp_path, "timestamp: payload.at", VOLUME | {"at": value})
    assert sample.timestamp == timestamp


def test_a_bad_time_is_told_and_makes_no_sample(tmp_path: Path) -> None:
    made, told = samples(tmp_path, "timestamp: $.payload.at", VOLUME | {"at": "yesterday"})
    assert made == [] and "timestamp: time 'yesterday': expected ISO 8601" in told[0]


def test_metadata_that_say_nothing_are_left_out(tmp_path: Path) -> None:
    entry = """
metadata:
  a: $.payload.a
  b: payload.b
  c: [payload.missing, payload.c]
  d: {fields: payload.c, plugin: {name: split, parameters: {separator: '-'}}}
  e: $.payload.e
  f: $.payload.glance_metadata[?key=image_id].value
"""
    payload = VOLUME | {"a": None, "b": "", "c": "x-y", "e": {}, "glance_metadata": [{"key": "image_id", "value": "i"}]}
    (sample,), _ = samples(tmp_path, entry, payload)
    assert sample.resource.metadata == {"c": "x-y", "d": "x", "f": "i"}


def test_without_metadata_the_whole_payload_describes_the_resource(tmp_path: Path) -> None:
    (sample,), _ = samples(tmp_path, "", VOLUME | {"host": "h"})
    assert sample.resource.metadata == VOLUME | {"event_type": "volume.exists", "host": "volume.ctl-01"}
    (sample,), _ = samples(tmp_path, "volume: 1\nresource_id: publisher_id", "a text")
    assert sample.resource.metadata == {"event_type": "volume.exists", "host": "volume.ctl-01"}


def test_of_user_metadata_only_what_is_reserved_for_metering_is_carried(tmp_path: Path) -> None:
    entry = "metadata: {name: $.payload.display_name}\nuser_metadata: $.payload.metadata"
    metadata = {
        "metering.stack": "prod",
        "metering.cost.centre": "CC-4471",
        "metering.long": "x" * 300,
        "metering.name": "there is one already",
        "metering.count": 3,
        "note": "mine",
    }
    (sample,), _ = samples(tmp_path, entry, VOLUME | {"metadata": metadata})
    assert sample.resource.metadata == {
        "name": "data",
        "user_metadata": {"stack": "prod", "cost_centre": "CC-4471", "long": "x" * 256, "count": 3},
    }
    for nothing in ({}, [], None, "text"):
        (sample,), _ = samples(tmp_path, entry, VOLUME | {"metadata": nothing})
        assert sample.resource.metadata == {"name": "data"}


def test_metadata_may_be_an_object_as_it_is_and_one_for_each_sample(tmp_path: Path) -> None:
    payload = VOLUME | {"about": {"a": 0, "b": ""}}
    (sample,), _ = samples(tmp_path, "metadata: payload.about", payload)
    assert sample.resource.metadata == {"a": 0, "b": ""}
    (sample,), _ = samples(tmp_path, "metadata: payload.missing", payload)
    assert sample.resource.metadata == {}
    made, told = samples(tmp_path, "metadata: payload.size", payload)
    assert made == [] and "metadata 120: expected an object" in told[0]
    polled = [
        {"name": "cpu", "about": {"n": 1}},
        {"name": "disk", "about": {"n": 2}},
        {"name": "net", "about": {"n": 1}},
    ]
    entry = "name: $.payload.samples[*].name\nmetadata: $.payload.samples[*].about\nlookup: [name, metadata]"
    made, _ = samples(tmp_path, entry, VOLUME | {"samples": polled})
    assert [sample.resource.metadata["n"] for sample in made] == [1, 2, 1]
    assert made[0].resource is made[2].resource


MEASURED = """
name: $.payload.measurements.[*].metric.[*].name
unit: $.payload.measurements.[*].metric.[*].unit
volume: $.payload.measurements.[*].result
lookup: [name, unit, volume]
"""


def measurements(*measured: tuple[Any, Any, Any]) -> dict[str, Any]:
    listed = [{"metric": {"name": name, "unit": unit}, "result": result} for name, unit, result in measured]
    return VOLUME | {"measurements": listed}


def test_lookup_makes_a_sample_of_each_value(tmp_path: Path) -> None:
    payload = measurements(("storage.api.request", "request", 1), ("storage.objects.incoming.bytes", "B", 52428800))
    made, told = samples(tmp_path, MEASURED, payload)
    assert [(sample.meter.name, sample.meter.unit, sample.volume, sample.resource.id) for sample in made] == [
        ("storage.api.request", "request", "1", "v1"),
        ("storage.objects.incoming.bytes", "B", "52428800", "v1"),
    ]
    assert told == []
    assert samples(tmp_path, MEASURED, measurements()) == ([], [])


def test_lookup_leaves_out_the_one_that_has_no_value(tmp_path: Path) -> None:
    made, told = samples(tmp_path, MEASURED, measurements(("a", "B", 1), ("b", "B", None), (None, "B", 2), ("d", 5, 2)))
    assert [sample.meter.name for sample in made] == ["a"]
    reasons = [what.removeprefix("meter $.payload.measurements.[*].metric.[*].name: ") for what in told]
    assert reasons == [
        "volume: no value at $.payload.measurements.[*].result",
        "name: no value",
        "unit 5: expected text",
    ]


def test_lookup_makes_nothing_where_the_numbers_of_values_differ_and_says_so(tmp_path: Path) -> None:
    payload = measurements(("a", "B", 1), ("b", "B", 2))
    del payload["measurements"][1]["result"]
    made, told = samples(tmp_path, MEASURED, payload)
    assert made == [] and "lookup: volume has 1 values where name has 2" in told[0]


def test_what_is_not_in_lookup_is_the_same_for_all(tmp_path: Path) -> None:
    made, _ = samples(tmp_path, MEASURED + "volume: 1\nlookup: name", measurements(("a", "B", 5), ("b", "s", 6)))
    assert [(sample.meter.name, sample.meter.unit, sample.volume) for sample in made] == [
        ("a", "B", "1"),
        ("b", "B", "1"),
    ]


@pytest.mark.parametrize(
    ("entry", "payload", "complaint"),
    [
        ("", {"volume_id": None}, "resource_id: no value"),
        ("", {"volume_id": ""}, "resource_id: no value"),
        ("", {"volume_id": ["v"]}, "resource_id ['v']: expected text"),
        ("", {"volume_id": "v" * 256}, "resource: "),
        ("project_id: payload.p", {"p": True}, "project_id True: expected text"),
        ("name: $.payload.n", {}, "name: no value"),
        ("name: $.payload.n", {"n": 5}, "name 5: expected text"),
        ("unit: $.payload.n", {}, "unit: no value"),
        ("type: $.payload.n", {"n": "sum"}, "type 'sum': expected one of gauge, delta, cumulative"),
        ("type: $.payload.n", {"n": ["gauge"]}, "type ['gauge']: expected one of"),
    ],
)
def test_a_sample_that_cannot_be_made_or_cannot_travel_is_told(
    tmp_path: Path, entry: str, payload: Any, complaint: str
) -> None:
    made, (what,) = samples(tmp_path, entry, VOLUME | payload)
    assert made == [] and complaint in what


def test_a_gap_names_the_paths_that_led_nowhere(tmp_path: Path) -> None:
    _, (what,) = samples(tmp_path, "volume: [$.payload.a, $.payload.b]")
    assert what == "meter volume.size: volume: no value at $.payload.a or $.payload.b"


@pytest.mark.parametrize(("volume", "is_noted"), [("$.payload.x", False), ("'$.payload.x[?a = 1].b'", True)])
def test_a_gap_is_only_noted_where_the_definition_has_a_filter(tmp_path: Path, volume: str, is_noted: bool) -> None:
    reports, notes = Reports(), Reports()
    read = definitions(tmp_path, f"{SIZE}volume: {volume}")
    assert read.samples(notification(payload=VOLUME), report=reports, note=notes) == []
    assert (len(reports), len(notes)) == ((0, 1) if is_noted else (1, 0))
    reports.clear()
    read.samples(notification(payload=VOLUME | {"x": [{"a": 1, "b": "many"}]}), report=reports, note=notes)
    assert len(reports) == 1, "what is wrong is told, filter or not"


def test_numbers_are_ids_as_text(tmp_path: Path) -> None:
    (sample,), _ = samples(tmp_path, "user_id: payload.user_id", VOLUME | {"volume_id": 7, "user_id": 8})
    assert (sample.resource.id, sample.resource.user) == ("7", "8")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional=dict.fromkeys([*VOLUME, "measurements", "at"], JSON)) | JSON)
@settings(deadline=None)
def test_any_payload_makes_samples_that_can_travel_or_a_reason(
    tmp_path_factory: pytest.TempPathFactory, payload: Any
) -> None:
    second = SIZE.replace("volume.size", "second") + MEASURED + "timestamp: payload.at\nuser_metadata: payload"
    reports = Reports()
    made = definitions(tmp_path_factory.mktemp("meters"), SIZE, second).samples(
        notification(payload=payload), report=reports
    )
    check = SampleCheck()
    assert [check.problem_with(sample) for sample in made] == [""] * len(made)
    assert any(sample.meter.name == "volume.size" for sample in made) or reports


def test_what_matches_is_remembered_for_a_bounded_number_of_event_types(tmp_path: Path) -> None:
    meters = definitions(tmp_path, SIZE)
    for number in range(10_000):
        meters.samples(notification(f"volume.exists.{number}"), report=Reports())
    assert len(meters._matching) < 5000


# Files.


def write(path: Path, *entries: tuple[str, str]) -> Path:
    """A file of meters: their names and units."""
    path.parent.mkdir(exist_ok=True)
    lines = ["metric:"]
    for name, unit in entries:
        lines.append(
            f"- {{name: {name}, event_type: volume, type: gauge, unit: {unit}, volume: 1, resource_id: publisher_id}}"
        )
    path.write_text("\n".join(lines))
    return path


def read(*places: Path) -> tuple[dict[str, str], list[str]]:
    meters = read_meters(places, source="openstack")
    made = meters.samples(notification(), report=Reports())
    return {sample.meter.name: sample.meter.unit for sample in made}, [str(warning) for warning in meters.warnings]


def test_an_operator_s_own_definition_counts_before_the_packaged_one(tmp_path: Path) -> None:
    own = write(tmp_path / "own" / "meters.yaml", ("a", "own"))
    packaged = write(tmp_path / "packaged" / "meters.yaml", ("a", "packaged"), ("b", "packaged"))
    assert read(own, packaged) == ({"a": "own", "b": "packaged"}, [])


def test_the_later_in_a_file_counts_and_the_other_is_told(tmp_path: Path) -> None:
    path = write(tmp_path / "meters.yaml", ("a", "first"), ("b", "b"), ("a", "second"))
    assert read(path) == (
        {"a": "second", "b": "b"},
        [f"{path}:2: meter 'a' is defined again at line 4, which counts"],
    )


def test_a_directory_is_read_in_the_order_of_its_files_names(tmp_path: Path) -> None:
    directory = tmp_path / "meters.d"
    second = write(directory / "20.yaml", ("a", "second"), ("b", "b"))
    first = write(directory / "10.yaml", ("a", "first"))
    write(directory / "30.yaml.old", ("c", "c"))
    assert read(directory) == (
        {"a": "first", "b": "b"},
        [f"{second}:2: meter 'a' is defined again at {first}:2, which counts"],
    )


def test_empty_files_define_nothing(tmp_path: Path) -> None:
    for text in ("", "metric:", "metric: []", "# nothing\n"):
        path = tmp_path / "meters.yaml"
        path.write_text(text)
        assert read(path) == ({}, [])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("nmae: x", "unknown key 'nmae'; known are name, event_type"),
        ("name: ''", "name '': expected text"),
        ("name: 5", "name 5: expected text, a path"),
        ("name: $.payload[", "name: path '$.payload[' at character 11: expected"),
        ("name: [a, b]", "name 'a': expected a path, which begins with $"),
        ("event_type: '('", "event_type '(': expected a regular expression"),
        ("event_type: []", "event_type: expected at least one"),
        ("event_type: [1]", "event_type 1: expected a regular expression"),
        ("type: sum", "type 'sum': expected one of gauge, delta, cumulative"),
        ("volume: many", "volume 'many': expected a number or a path, which begins with $"),
        ("volume: payload.size", "volume 'payload.size': expected a number or a path"),
        ("volume: true", "volume True: expected a number, a path"),
        ("volume: .nan", "volume nan: expected a number"),
        ("volume: {fields: payload.size, plug: x}", "volume: unknown key 'plug' beside fields"),
        ("volume: {path: a, plugin: split}", "volume: unknown key 'plugin' beside path"),
        ("volume: {fields: payload.size, plugin: spilt}", "volume: plugin 'spilt': expected one of"),
        ("volume: {fields: payload.size, plugin: {nmae: split}}", "expected a name, or name and parameters"),
        ("volume: {fields: [payload.a, 5]}", "volume 5: expected a path"),
        ("volume: {fields: []}", "volume: expected at least one path"),
        ("volume: {}", "volume {}: expected a number"),
        ("unit:", "unit is missing"),
        ("resource_id:", "resource_id is missing"),
        ("resource_id: 5", "resource_id 5: expected a path, a list of paths"),
        ("user_id: a b", "user_id: path 'a b' at character 3"),
        ("timestamp: ''", "timestamp: path '' at character 1"),
        ("metadata: [a]", "metadata ['a']: expected a mapping of keys to paths"),
        ("metadata: {a: 5}", "metadata: a 5: expected a path"),
        ("metadata: {1: a}", "metadata: key 1: expected text"),
        ("user_metadata: {}", "user_metadata {}: expected a path"),
        ("metadata: payload[", "metadata: path 'payload[' at character 9"),
        ("lookup: [name]", "lookup: expected a name that is a path"),
        ("lookup: [names]", "lookup 'names': expected one of name, type, unit"),
        ("lookup: [timestamp]", "lookup 'timestamp': there is no such key here"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, line: str, complaint: str) -> None:
    with pytest.raises(BadDefinitions) as error:
        definitions(tmp_path, SIZE, SIZE.replace("volume.size", "other") + line)
    assert complaint in str(error.value)
    text = (tmp_path / "meters.yaml").read_text().splitlines()
    assert {text[mistake.line - 1].strip(" -") for mistake in error.value.mistakes} == {line}


def test_user_metadata_have_no_place_beside_metadata_that_are_an_object(tmp_path: Path) -> None:
    with pytest.raises(BadDefinitions, match="user_metadata: expected none"):
        samples(tmp_path, "metadata: payload.about\nuser_metadata: payload.metadata")


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    texts = {
        "1.yaml": "metric:\n- name: a\n  type: sum\n  volume: many\n- 5\n",
        "2.yaml": "metric: [\n",
        "3.yaml": "meters: []",
        "4.yaml": "- name: a",
        "5.yaml": "metric: {a: 1}",
        "6.yaml": "metric:\n- {name: a, name: b}",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BadDefinitions) as error:
        read_meters([tmp_path, tmp_path / "away.yaml"], source="openstack")
    told = str(error.value).replace(f"{tmp_path}/", "").splitlines()
    assert told == [
        "1.yaml:2: event_type is missing",
        "1.yaml:2: unit is missing",
        "1.yaml:2: resource_id is missing",
        "1.yaml:3: type 'sum': expected one of gauge, delta, cumulative",
        "1.yaml:4: volume 'many': expected a number or a path, which begins with $",
        "1.yaml:5: meter 5: expected a mapping",
        *(line for line in told if line.startswith("2.yaml:")),
        "3.yaml:1: expected a list under the key metric, and nothing else",
        "4.yaml:1: expected a list under the key metric, and nothing else",
        "5.yaml:1: expected a list under the key metric, and nothing else",
        "6.yaml:2: not YAML: the key 'name' stands twice",
        "away.yaml: No such file or directory",
    ]
    assert any(line.startswith("2.yaml:2: not YAML") for line in told)
