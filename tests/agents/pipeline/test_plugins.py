"""Transformers of others: their faults stop nobody, and are told."""

from __future__ import annotations

import pytest

from agents.contract import BadParameters, Meter, Resource, Sample
from agents.definition_files import BadDefinitions
from agents.pipeline import transformers
from agents.pipeline.run import Unit, flush, run_samples
from agents.pipeline.transformers import DuplicateTransformer, load_transformers

FILE = """\
sources: [{name: all, meters: ["*"], sinks: [mine, other]}]
sinks:
  - {name: mine, transformers: [{name: mine, parameters: {how: HOW}}], publishers: ["udp://mine"]}
  - {name: other, transformers: [{name: delta}], publishers: ["udp://other"]}
"""


class Mine:
    keeps_state = True

    def __init__(self, parameters):
        self.how = parameters["how"]
        if self.how == "refuse":
            raise BadParameters([(("how",), "not so")])
        if self.how == "crash":
            raise RuntimeError("cannot")

    def transform(self, state, samples, report):
        count = (state or {"count": 0})["count"] + len(samples)
        if self.how == "raise":
            raise RuntimeError("broken")
        if self.how == "no samples":
            return {"count": count}, ["x"]
        if self.how == "no data":
            return {"count": object()}, []
        meter = Meter("count", "gauge", "")
        return {"count": count}, [Sample(meter, samples[0].resource, samples[0].timestamp, str(count))]

    def due(self, state):
        return 5 if self.how == "flush" else None

    def flush(self, state, now, report):
        raise RuntimeError("not now")


class Point:
    def __init__(self, name):
        self.name = name

    def load(self):
        return Mine


@pytest.fixture
def points(monkeypatch):
    found = [Point("mine")]
    monkeypatch.setattr(transformers, "entry_points", lambda group: {"celometer.transformers": found}[group])
    return found


def run(pipelines, state, key="u1", reports=None):
    at = int(key[1:])
    unit = Unit(key, [Sample(Meter("a", "gauge", ""), Resource("vm", "s"), at, str(at))])
    reports = [] if reports is None else reports
    delivery = run_samples(pipelines, [unit], state=state, polled=True, report=lambda *r: reports.append(r))
    return {url: [entry.sample.volume for entry in sent] for url, sent in delivery.outgoing.items()}


def test_a_plugin_remembers_and_derives(load, state, points):
    pipelines = load(FILE.replace("HOW", "well"))
    assert run(pipelines, state, "u1") == {"udp://mine": ["1"]}
    assert run(pipelines, state, "u2") == {"udp://mine": ["2"], "udp://other": ["1"]}
    assert run(pipelines, state, "u1") == {"udp://mine": ["1"]}


@pytest.mark.parametrize(
    ("how", "complaint"),
    [("raise", "Mine: RuntimeError: broken"), ("no samples", "no sample"), ("no data", "state: TypeError")],
)
def test_a_plugins_fault_is_told_and_stops_no_other_pipeline(load, state, points, how, complaint):
    pipelines, reports = load(FILE.replace("HOW", how)), []
    run(pipelines, state, "u1", reports)
    assert run(pipelines, state, "u2", reports) == {"udp://other": ["1"]}
    assert len(reports) == 2 and reports[0][0] == "all:mine" and complaint in reports[0][1]


def test_a_plugins_fault_while_flushing_is_told_and_its_state_begins_anew(load, state, points):
    pipelines, reports = load(FILE.replace("HOW", "flush")), []
    run(pipelines, state, "u1")
    for _ in range(2):
        flush(pipelines, now=10, state=state, report=lambda *report: reports.append(report))
    assert reports == [("all:mine", "Mine: RuntimeError: not now")]


@pytest.mark.parametrize(
    ("how", "complaint"), [("refuse", "mine: how: not so"), ("crash", "mine: RuntimeError: cannot")]
)
def test_parameters_that_a_plugin_refuses_are_a_mistake_of_the_file(load, points, how, complaint):
    with pytest.raises(BadDefinitions, match=complaint):
        load(FILE.replace("HOW", how))


def test_two_transformers_of_one_name_are_refused_with_both(points):
    points.append(Point("delta"))
    with pytest.raises(DuplicateTransformer, match=r"'delta' is both .*Delta.* and .*Mine"):
        load_transformers()
