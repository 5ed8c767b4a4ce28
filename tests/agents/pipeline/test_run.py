"""What goes to the collector and what to other publishers."""

from __future__ import annotations

from uuid import UUID

import pytest

from agents.contract import Event, Meter, Resource, Sample
from agents.pipeline.run import Unit, flush, route_events, run_samples
from agents.pipeline.state import StateAway, TransformState

SECOND = 1_000_000


def sample(name="cpu", volume="1", *, at=0, resource="vm-1", unit="ns", type="cumulative"):
    return Sample(Meter(name, type, unit), Resource(resource, "openstack", "p1"), at * SECOND, volume)


def run(pipelines, *units, state=None, polled=False, reports=None):
    def report(where, what):
        if reports is None:
            raise AssertionError(f"{where}: {what}")
        reports.append((where, what))

    return run_samples(pipelines, units, state=state, polled=polled, report=report)


PLAIN = """\
sources:
  - {name: all, meters: ["!*.secret"], sinks: [store]}
  - {name: cpu, meters: [cpu], sinks: [store, elsewhere]}
sinks:
  - {name: store, publishers: ["collector://"]}
  - {name: elsewhere, publishers: ["udp://a", "collector://"]}
"""


def test_what_reaches_the_collector_by_several_pipelines_unchanged_is_delivered_once_under_its_key(load):
    samples = [sample("cpu"), sample("disk"), sample("cpu", "2", at=1)]
    delivery = run(load(PLAIN), Unit("n1", samples))
    assert delivery.collector == [Unit("n1", samples)]
    assert [outgoing.sample for outgoing in delivery.outgoing["udp://a"]] == [samples[0], samples[2]]


def test_a_place_that_several_pipelines_name_gets_an_unchanged_sample_once(load):
    text = PLAIN.replace('publishers: ["collector://"]', 'publishers: ["collector://", "udp://a"]')
    delivery = run(load(text), Unit("n1", [sample("cpu"), sample("disk")]))
    assert [outgoing.sample.meter.name for outgoing in delivery.outgoing["udp://a"]] == ["cpu", "disk"]


def test_samples_of_a_unit_are_taken_in_the_order_of_time(load, state):
    text = CONVERTING.replace("unit_conversion", "delta").replace(", scale: 1.0e-9", "")
    delivery = run(
        load(text),
        Unit("n1", [sample(volume="5", at=2), sample(volume="1", at=0), sample(volume="2", at=1)]),
        state=state,
    )
    assert [(s.timestamp, s.volume) for s in delivery.collector[-1].samples] == [(1 * SECOND, "1"), (2 * SECOND, "3")]


def test_what_was_polled_is_with_the_collector_already(load):
    delivery = run(load(PLAIN), Unit("n1", [sample()]), polled=True)
    assert delivery.collector == []
    assert len(delivery.outgoing["udp://a"]) == 1


def test_an_outgoing_id_is_the_same_each_time_and_another_for_each_sample(load):
    units = [Unit("n1", [sample(), sample(at=1)]), Unit("n2", [sample()])]
    first, again = (run(load(PLAIN), *given).outgoing["udp://a"] for given in (units, units[::-1]))
    assert {outgoing.id for outgoing in first} == {outgoing.id for outgoing in again}
    assert len({UUID(outgoing.id) for outgoing in first}) == 3


def test_units_that_nobody_wants_vanish_and_are_counted(load):
    reports = []
    delivery = run(load(PLAIN), Unit("n1", [sample("a.secret")]), Unit("n2", [sample()]), reports=reports)
    assert [unit.key for unit in delivery.collector] == ["n2"]
    assert reports == [("pipeline.yaml", "1 of 2 inputs go nowhere: no source wants any of their meters")]


def test_a_unit_that_stands_twice_in_a_bundle_counts_once(load):
    assert len(run(load(PLAIN), Unit("n1", [sample()]), Unit("n1", [sample()])).collector) == 1


CONVERTING = """\
sources:
  - {name: all, meters: ["*"], sinks: [convert]}
sinks:
  - name: convert
    transformers:
      - {name: unit_conversion, parameters: {source: {unit: ns}, target: {name: cpu.s, unit: s, scale: 1.0e-9}}}
    publishers: ["collector://", "udp://a"]
"""


def test_what_a_transformer_changed_is_derived_and_has_a_key_of_its_own(load):
    unit = Unit("n1", [sample(volume="2000000000"), sample("disk", unit="B")])
    delivery = run(load(CONVERTING), unit)
    converted = sample("cpu.s", "2", unit="s")
    assert delivery.collector == [Unit("n1", unit.samples[1:]), Unit("n1/all:convert", [converted])]
    assert [outgoing.sample for outgoing in delivery.outgoing["udp://a"]] == [converted, unit.samples[1]]
    polled = run(load(CONVERTING), unit, polled=True)
    assert polled.collector == [Unit("n1/all:convert", [converted])]
    assert polled.outgoing == delivery.outgoing


def test_a_derived_key_has_at_most_255_characters_and_is_still_one_units_own(load):
    keys = [f"{'n' * 250}{number}" for number in range(2)]
    delivery = run(load(CONVERTING), *(Unit(key, [sample()]) for key in keys))
    made = [unit.key for unit in delivery.collector]
    assert len(set(made)) == 2 and max(map(len, made)) <= 255 and all(key.endswith("all:convert") for key in made)


def test_a_derived_sample_that_could_not_travel_is_left_out_and_told(load):
    reports = []
    text = CONVERTING.replace("name: cpu.s", "map_to: {name: '\\g<0>\\g<0>'}").replace(
        "{unit: ns}", "{map_from: {name: '.+'}}"
    )
    delivery = run(load(text), Unit("n1", [sample("x" * 200), sample("y")]), reports=reports)
    assert [s.meter.name for unit in delivery.collector for s in unit.samples] == ["yy"]
    assert reports[0][0] == "all:convert" and "is left out" in reports[0][1]


ACCUMULATING = """\
sources:
  - {name: all, meters: ["*"], sinks: [slowly]}
sinks:
  - name: slowly
    transformers: [{name: accumulator, parameters: {size: 2}}]
    publishers: ["collector://", "udp://a"]
"""


def test_the_collector_does_not_wait_for_an_accumulator(load, state):
    pipelines = load(ACCUMULATING)
    first = run(pipelines, Unit("n1", [sample()]), state=state)
    assert (first.collector, first.outgoing) == ([Unit("n1", [sample()])], {})
    second = run(pipelines, Unit("n2", [sample(at=1)]), state=state)
    assert second.collector == [Unit("n2", [sample(at=1)])]
    assert [outgoing.sample for outgoing in second.outgoing["udp://a"]] == [sample(), sample(at=1)]


def test_what_an_accumulator_releases_late_is_new_to_the_others_only(load, state):
    pipelines = load(ACCUMULATING)
    run(pipelines, Unit("n1", [sample()]), state=state)
    delivery = flush(pipelines, now=8 * 24 * 3600 * SECOND, state=state, report=print)
    assert delivery.collector == [] and [outgoing.sample for outgoing in delivery.outgoing["udp://a"]] == [sample()]


def test_a_state_server_that_is_away_is_told_by_one_error(load):
    away = TransformState("redis://127.0.0.1:1/0")
    with pytest.raises(StateAway):
        run(load(ACCUMULATING), Unit("n1", [sample()]), state=away)


def event(type):
    return Event("m1", type, "openstack", 1, [])


def test_an_event_goes_to_each_place_that_wants_its_type_once(load):
    events = """\
sources:
  - {name: all, events: ["!identity.*"], sinks: [store]}
  - {name: vms, events: ["compute.*"], sinks: [store, desk]}
sinks:
  - {name: store, publishers: ["collector://", "http://a"]}
  - {name: desk, publishers: ["http://a", "http://b"]}
"""
    given = [event("compute.create"), event("identity.login"), event("volume.create")]
    delivery = route_events(load(PLAIN, events), given)
    assert delivery.collector == [given[0], given[2]]
    assert delivery.outgoing == {"http://a": [given[0], given[2]], "http://b": [given[0]]}
