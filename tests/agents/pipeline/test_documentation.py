"""docs/pipelines.md: every worked example gives what the page says."""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import indent

import pytest

from agents.contract import Meter, Resource, Sample
from agents.pipeline.run import Unit, flush, run_samples
from agents.pipeline.transformers import TRANSFORMERS

PAGE = (Path(__file__).parents[3] / "docs/pipelines.md").read_text()
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", PAGE, flags=re.MULTILINE | re.DOTALL))
SECOND = 1_000_000

FILE = """\
sources: [{name: all, meters: ["*"], sinks: [example]}]
sinks:
  - name: example
    publishers: [udp]
    transformers:
"""


def no_report(where, what):
    raise AssertionError(f"{where}: {what}")


def read_sample(text, at):
    name, volume, unit, type, *metadata = text.split()
    described = {key: int(value) for key, _, value in (entry.partition("=") for entry in metadata)}
    return Sample(Meter(name, type, unit), Resource("vm-1", "openstack", metadata=described), at * SECOND, volume)


def written(sample):
    return f"{sample.meter.name} {sample.volume} {sample.meter.unit} {sample.meter.type}"


def test_every_transformer_has_a_section():
    assert set(SECTIONS) == set(TRANSFORMERS)


@pytest.mark.parametrize("name", sorted(TRANSFORMERS))
def test_worked_examples_give_what_the_page_says(load, state, name):
    [definition] = re.findall(r"```yaml\n(.*?)```", SECTIONS[name], flags=re.DOTALL)
    pipelines = load(FILE + indent(definition, "      "))
    rows = re.findall(r"^\| (\d+) s \| *(.*?) *\| *(.*?) *\|$", SECTIONS[name], flags=re.MULTILINE)
    assert rows
    for number, (at, given, expected) in enumerate(rows):
        if given:
            units = [Unit(f"u{number}", [read_sample(given, int(at))])]
            delivery = run_samples(pipelines, units, state=state, polled=True, report=no_report)
        else:
            delivery = flush(pipelines, now=int(at) * SECOND, state=state, report=no_report)
        found = [written(outgoing.sample) for outgoing in delivery.outgoing.get("udp://", [])]
        assert "; ".join(found) == expected, (at, given)


def test_the_first_example_of_the_page_can_be_read(load):
    first = re.search(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    assert [pipeline.name for pipeline in load(first[1]).samples] == ["cpu_source:cpu_sink"]
