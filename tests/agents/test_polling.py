"""polling.yaml, and one polling cycle."""

from __future__ import annotations

import pytest

from agents.contract import DiscoveryFailed
from agents.definition_files import BadDefinitions
from agents.polling import Source, due_at, load_sources, poll_source, unknown_meters
from metering.messages import Meter, Resource, Sample


class Machines:
    name = "machines"

    def __init__(self, targets=("m1", "m2"), error=None):
        self.targets, self.error, self.calls = targets, error, 0

    def discover(self, cycle):
        self.calls += 1
        if self.error:
            raise self.error
        return self.targets


class Reads:
    discovery = "machines"

    def __init__(self, name, error=None):
        self.name, self.error = name, error

    def samples(self, targets, cycle):
        for target in targets:
            yield Sample(Meter(self.name, "gauge", "x"), Resource(id=target, source="s"), cycle.timestamp, "1")
            if self.error:
                raise self.error


def poll(*pollsters, discovery=None, meters=("*",)):
    discovery = discovery or Machines()
    return poll_source(Source("s", 60, meters), discoveries={"machines": discovery}, pollsters=pollsters, node="node-1")


def test_discovery_runs_once_for_all_pollsters():
    discovery = Machines()
    polled = poll(Reads("a"), Reads("b"), discovery=discovery)
    assert discovery.calls == 1
    assert [(s.meter.name, s.resource.id) for s in polled.samples] == [
        ("a", "m1"),
        ("a", "m2"),
        ("b", "m1"),
        ("b", "m2"),
    ]


def test_a_failing_pollster_stops_no_other_and_is_reported():
    polled = poll(Reads("a", error=RuntimeError("broken")), Reads("b"))
    assert [s.meter.name for s in polled.samples] == ["a", "b", "b"]
    assert [(p.where, p.what) for p in polled.problems] == [("a", "RuntimeError: broken")]


def test_a_failed_discovery_is_a_gap_with_a_reason_not_an_empty_cloud():
    polled = poll(Reads("a"), discovery=Machines(error=DiscoveryFailed("libvirt is away")))
    assert polled.samples == []
    assert [(p.where, p.what) for p in polled.problems] == [("machines", "libvirt is away")]


@pytest.mark.parametrize(
    "bad",
    [
        Sample(Meter("a", "gauge", "x"), Resource(id="m1", source="s", project=""), 1, "1"),
        Sample(Meter("a", "gauge", "x"), Resource(id="x" * 256, source="s"), 1, "1"),
        Sample(Meter("a", "gauge", "x"), Resource(id="caf\udce9", source="s"), 1, "1"),
        Sample(Meter("a", "gauge", "x"), Resource(id="m1", source="s", metadata={"a": "\x00"}), 1, "1"),
        Sample(Meter("a", "gauge", "x"), Resource(id="m1", source="s", metadata={"a": "x" * 70_000}), 1, "1"),
        Sample(Meter("a", "gauge", "x"), Resource(id="m1", source="s", metadata={"a": object()}), 1, "1"),
        Sample(Meter("a", "sum", "x"), Resource(id="m1", source="s"), 1, "1"),
        Sample(Meter("a", "gauge", "x"), Resource(id="m1", source="s"), 1, 1.5),
        Sample(Meter("a", "gauge", "x"), Resource(id="m1", source="s"), 1.5, "1"),
    ],
)
def test_a_sample_that_cannot_travel_is_left_out_and_told_and_the_rest_goes_on(bad):
    class Bad(Reads):
        def samples(self, targets, cycle):
            yield bad

    polled = poll(Bad("a"), Reads("b"))
    assert [s.meter.name for s in polled.samples] == ["b", "b"]
    (problem,) = polled.problems
    assert problem.where == "a" and "is left out" in problem.what


def test_all_samples_of_a_cycle_carry_its_time():
    assert len({s.timestamp for s in poll(Reads("a"), Reads("b")).samples}) == 1


@pytest.mark.parametrize(
    ("meters", "chosen"),
    [
        (("*",), ["cpu", "disk.read", "disk.write"]),
        (("disk.*",), ["disk.read", "disk.write"]),
        (("*", "!disk.*"), ["cpu"]),
        (("!cpu",), ["disk.read", "disk.write"]),
        (("cpu", "disk.w*"), ["cpu", "disk.write"]),
        (("CPU",), []),
    ],
)
def test_meter_globs_choose_pollsters(meters, chosen):
    polled = poll(Reads("cpu"), Reads("disk.read"), Reads("disk.write"), meters=meters)
    assert sorted({s.meter.name for s in polled.samples}) == chosen


def test_due_times_lie_on_the_grid_of_the_interval():
    assert due_at(1_000_000_299.9, interval_seconds=300) == 1_000_000_200_000_000
    assert due_at(1_000_000_500.0, interval_seconds=300) == 1_000_000_500_000_000


GOOD = "sources: [{name: a, interval: 60, meters: ['*'], queue: central}, {name: b, interval: 5, meters: [cpu]}]"


def load(tmp_path, text, **options):
    path = tmp_path / "polling.yaml"
    path.write_text(text)
    return load_sources(path, **options)


def test_sources_are_read(tmp_path):
    assert load(tmp_path, GOOD) == [Source("a", 60, ("*",), "central"), Source("b", 5, ("cpu",))]
    assert [s.interval_seconds for s in load(tmp_path, GOOD, interval_seconds=7)] == [7, 7]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected a list under the key sources"),
        ("sources: {}", "expected a list"),
        ("sources: [x: [", "not YAML"),
        ("sources: [1]", "source 1: expected a mapping, not 1"),
        ("sources: [{name: '', interval: 1, meters: ['*']}]", "name ''"),
        ("sources: [{name: a, interval: 0, meters: ['*']}]", "interval 0: expected whole seconds"),
        ("sources: [{name: a, interval: soon, meters: ['*']}]", "interval 'soon'"),
        ("sources: [{name: a, interval: true, meters: ['*']}]", "interval True"),
        ("sources: [{name: a, interval: 1, meters: []}]", "meters []: expected a list"),
        ("sources: [{name: a, interval: 1}]", "meters None"),
        ("sources: [{name: a, interval: 1, meters: [cpu, '!disk']}]", "may not mix 'cpu' with the exclusion '!disk'"),
        ("sources: [{name: a, interval: 1, meters: ['*', cpu]}]", "may not mix '*' with 'cpu'"),
        ("sources: [{name: a, interval: 1, meters: ['*'], queue: q}]", "queue 'q': expected one of compute, central"),
        ("sources: [{name: a, interval: 1, meters: ['*'], metres: 1}]", "unknown key 'metres'"),
        (GOOD.replace("name: b", "name: a"), "source name 'a' is used twice"),
    ],
)
def test_mistakes_are_named_with_file_and_place(tmp_path, text, complaint):
    with pytest.raises(BadDefinitions) as error:
        load(tmp_path, text)
    assert complaint in str(error.value)
    assert "polling.yaml" in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadDefinitions, match=r"nowhere\.yaml: No such file"):
        load_sources(tmp_path / "nowhere.yaml")


def test_every_mistake_is_named_with_its_line(tmp_path):
    text = (
        "sources:\n- name: a\n  interval: 0\n  metres: [cpu]\n  meters: [cpu]\n- name: b\n  interval: 5\n  meters: []\n"
    )
    with pytest.raises(BadDefinitions) as error:
        load(tmp_path, text)
    assert [mistake.line for mistake in error.value.mistakes] == [3, 4, 8]


def test_a_glob_that_matches_no_meter_is_told_with_its_source(tmp_path):
    sources = load(
        tmp_path,
        "sources:\n- {name: a, interval: 1, meters: [cpux, 'disk.*']}\n- {name: b, interval: 1, meters: ['!cpuy']}",
    )
    known = ["cpu", "disk.read"]
    told = [(2, "source a: no meter is called 'cpux'"), (3, "source b: no meter is called 'cpuy'")]
    assert list(unknown_meters(sources, known)) == told
    assert not list(unknown_meters(load(tmp_path, GOOD), known))
