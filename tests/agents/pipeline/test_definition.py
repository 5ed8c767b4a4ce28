"""pipeline.yaml and event_pipeline.yaml: what is read, and how mistakes are told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.definition_files import BadDefinitions
from agents.pipeline.definition import load_pipelines
from agents.pipeline.publishers.address import url_problem
from agents.pipeline.transformers import TRANSFORMERS, load_transformers

DEFAULTS = Path(__file__).parents[3] / "config/defaults"

GOOD = """\
sources:
  - name: cpu
    meters: [cpu]
    sinks: [cpu, rates]
  - name: disks
    meters: ["disk.*"]
    sinks: [rates]
sinks:
  - name: cpu
    publishers: ["collector://", udp]
  - name: rates
    transformers:
      - name: rate_of_change
        parameters: {target: {name: x.rate}}
      - name: unit_conversion
    publishers: ["http://a/b", "http://a/b"]
"""


def test_a_pipeline_is_a_source_and_a_sink_named_by_both_unless_they_share_a_name(load):
    assert [p.name for p in load(GOOD).samples] == ["cpu", "cpu:rates", "disks:rates"]
    assert [p.name for p in load(GOOD).events] == ["event:e:s"]


def test_a_publisher_without_a_scheme_is_one_and_each_stands_once(load):
    assert [p.publishers for p in load(GOOD).samples] == [("collector://", "udp://"), ("http://a/b",), ("http://a/b",)]


def test_a_polled_sample_is_wanted_where_anything_but_the_collector_is_to_see_it(load):
    text = """\
sources:
  - {name: all, meters: ["!*.secret"], sinks: [store]}
  - {name: cpu, meters: [cpu], sinks: [rates]}
  - {name: disk, meters: ["disk.*"], sinks: [elsewhere]}
sinks:
  - {name: store, publishers: ["collector://"]}
  - {name: rates, transformers: [{name: delta}], publishers: ["collector://"]}
  - {name: elsewhere, publishers: ["collector://", "udp://a"]}
"""
    pipelines = load(text)
    assert [pipelines.wants(name) for name in ("cpu", "disk.a", "memory", "a.secret")] == [True, True, False, False]


@pytest.mark.parametrize(("name", "needs"), [("delta", True), ("unit_conversion", False), ("accumulator", False)])
def test_only_what_remembers_needs_a_state_server(load, name, needs):
    text = GOOD.replace("rate_of_change", name).replace("parameters: {target: {name: x.rate}}", "")
    assert load(text).needs_state is needs


def test_what_transformers_remember_belongs_to_their_definition(load):
    before, after = load(GOOD).samples, load(GOOD.replace("x.rate", "y.rate")).samples
    assert [a.digest == b.digest for a, b in zip(before, after, strict=True)] == [True, False, False]
    assert len({pipeline.digest for pipeline in before}) == 3


def test_the_order_of_parameters_is_no_part_of_their_definition(load):
    one, other = (
        load(GOOD.replace("{target: {name: x.rate}}", f"{{target: {{{text}}}}}")).samples[1].digest
        for text in ("name: a, unit: b", "unit: b, name: a")
    )
    assert one == other


def mistakes(load, text, **events):
    with pytest.raises(BadDefinitions) as error:
        load(text, **events)
    return [(mistake.path.name, mistake.line, mistake.text) for mistake in error.value.mistakes]


@pytest.mark.parametrize(
    ("old", "new", "line", "complaint"),
    [
        ("sources:", "source:", 1, "unknown key 'source'; known are sources, sinks"),
        ("    meters: [cpu]", "    metres: [cpu]", 3, "unknown key 'metres'; known are name, meters, sinks"),
        ("    meters: [cpu]", "    interval: 5", 3, "'interval'; known are name, meters, sinks; what is polled"),
        ("meters: [cpu]", "meters: cpu", 3, "meters 'cpu': expected a list of at least one text"),
        ("meters: [cpu]", "meters: []", 3, "meters []: expected a list of at least one text"),
        ("meters: [cpu]", "meters: [cpu, '!disk']", 3, "meters may not mix 'cpu' with the exclusion '!disk'"),
        ("meters: [cpu]", "meters: ['*', cpu]", 3, "meters may not mix '*' with 'cpu'"),
        ("meters: [cpu]", "meters: ['!']", 3, "meters may not hold '!' with nothing to exclude behind it"),
        ("[cpu, rates]", "[cpu, rate]", 4, "source 'cpu': there is no sink 'rate'"),
        ("[cpu, rates]", "\n      - cpu\n      - cpu", 6, "the pipeline 'cpu' is there twice"),
        ("- name: disks", "- name: cpu", 5, "the name 'cpu' is used twice in sources, first in line 2"),
        ("- name: rates", "- name: cpu", 11, "the name 'cpu' is used twice in sinks, first in line 9"),
        ("- name: disks", "- name: [1]", 5, "name [1]: expected a text of at most 100 characters"),
        ("  - name: disks", "  - 7\n  - name: disks", 5, "sources: expected a mapping, not 7"),
        ('["collector://", udp]', "[]", 10, "publishers []: expected a list of at least one text"),
        ('["collector://", udp]', "[collector, bad]", 10, "publisher 'bad://': no such scheme"),
        ("name: rate_of_change", "name: rate", 13, "transformer 'rate': expected one of accumulator, aggregator, ar"),
        (
            "{target: {name: x.rate}}",
            "{target: {scale: a}}",
            14,
            "rate_of_change: target.scale: 'a': 'a': expected vol",
        ),
        ("{target: {name: x.rate}}", "[1]", 14, "parameters [1]: expected a mapping"),
        ("{target: {name: x.rate}}", "{targets: 1}", 14, "targets: unknown parameter; known are source, target"),
        ("- name: unit_conversion", "- unit_conversion", 15, "transformers: expected a mapping with a name"),
        ("    transformers:", "    transformers: 1\n    x:", 12, "transformers 1: expected a list"),
    ],
)
def test_a_mistake_is_told_with_its_line_and_reason(load, old, new, line, complaint):
    assert old in GOOD
    found = mistakes(load, GOOD.replace(old, new, 1))
    assert any(at == line and complaint in text for _, at, text in found), found
    assert {path for path, _, _ in found} == {"pipeline.yaml"}


def test_all_mistakes_of_both_files_are_told_at_once(load):
    text = GOOD.replace("cpu, rates]", "x]").replace("target: {name", "target: {nam").replace('"http://a/b"', "bad")
    events = "sources: [{name: a, meters: ['*'], sinks: [s]}]\nsinks: [{name: s, transformers: [1], publishers: [bad]}]"
    found = mistakes(load, text, events=events)
    assert [(path, line) for path, line, _ in found] == [
        *[("pipeline.yaml", line) for line in (4, 14, 16, 16)],
        *[("event_pipeline.yaml", line) for line in (1, 1, 2, 2)],
    ]
    assert any("events are not transformed" in what for _, _, what in found)


@pytest.mark.parametrize("text", ["", "7", "[]", "sources: [", "sources: {}\nsinks: {}\n"])
def test_what_is_no_pipeline_file_at_all_is_refused(load, text):
    assert mistakes(load, text)


@pytest.mark.parametrize("nothing", ["", "[]"])
def test_events_may_have_an_empty_list_of_transformers_as_in_ceilometers_files(load, nothing):
    events = f"sources: [{{name: e, events: ['*'], sinks: [s]}}]\nsinks:\n- name: s\n  transformers: {nothing}\n  publishers: ['collector://']\n"
    assert [pipeline.name for pipeline in load(GOOD, events=events).events] == ["event:e:s"]


def test_a_publisher_is_named_once_and_without_its_password(tmp_path):
    paths = tmp_path / "pipeline.yaml", tmp_path / "event_pipeline.yaml"
    paths[0].write_text(GOOD.replace("http://a/b", "udp://me:secret@a?x=1").replace(", udp]", "]"))
    paths[1].write_text((DEFAULTS / "event_pipeline.yaml").read_text())
    with pytest.raises(BadDefinitions) as error:
        load_pipelines(*paths, transformers=load_transformers(), url_problem=url_problem)
    assert str(error.value).splitlines()[0].count("publisher '") == 1
    assert "secret" not in str(error.value)


def test_a_deep_parameter_is_told_with_its_own_line(load):
    text = GOOD.replace("{target: {name: x.rate}}", "\n          target:\n            name: a\n            max: lots")
    assert mistakes(load, text)[0][1:] == (17, "rate_of_change: target.max: 'lots': expected a number")


words = st.sampled_from(
    [
        "name",
        "meters",
        "events",
        "sinks",
        "sources",
        "publishers",
        "transformers",
        "parameters",
        "target",
        "source",
        "scale",
        "max",
        "size",
        "expr",
        "map_from",
        "map_to",
        "unit",
        "type",
        "cpu",
        "*",
        "!cpu",
        "!",
        "s",
        "udp://",
        "collector",
        "bad",
        "delta",
        "aggregator",
        "(",
        "$(a)",
        "volume",
    ]
)
scalars = st.one_of(words, st.text(max_size=4), st.none(), st.booleans(), st.integers(-2, 9), st.floats(), st.dates())
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(scalars, inner, max_size=4), max_leaves=25
)
steps = st.fixed_dictionaries({"name": st.sampled_from(sorted(TRANSFORMERS))}, optional={"parameters": documents})
sinks = st.fixed_dictionaries(
    {"name": words, "publishers": st.lists(words), "transformers": st.lists(steps, max_size=2)}
)
files = st.one_of(
    documents,
    st.fixed_dictionaries({"sources": documents, "sinks": documents}),
    st.fixed_dictionaries(
        {"sources": st.just([{"name": "a", "meters": ["*"], "sinks": ["s"]}]), "sinks": st.lists(sinks)}
    ),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files)
def test_any_file_is_read_or_its_mistakes_are_told(load, document):
    try:
        load(yaml.safe_dump(document, allow_unicode=True))
    except BadDefinitions as error:
        assert error.mistakes and all(mistake.text for mistake in error.mistakes)


def uncommented(name):
    """The file with its examples switched on: their lines begin with "#" and two blanks."""
    return re.sub(r"^#(?=  )", "", (DEFAULTS / name).read_text(), flags=re.MULTILINE)


def test_the_shipped_files_send_everything_to_the_collector(load):
    pipelines = load(*((DEFAULTS / name).read_text() for name in ("pipeline.yaml", "event_pipeline.yaml")))
    for found in (pipelines.for_meter("any.meter"), pipelines.for_event("any.event")):
        assert [pipeline.publishers for pipeline in found] == [("collector://",)]
    assert not pipelines.wants("cpu") and not pipelines.needs_state


def test_the_shipped_examples_can_be_switched_on_and_show_every_transformer(load):
    pipelines = load(uncommented("pipeline.yaml"), uncommented("event_pipeline.yaml"))
    shown = {type(transformer) for pipeline in pipelines.samples for transformer in pipeline.transformers}
    assert shown == set(TRANSFORMERS.values())
    assert len(pipelines.events) > 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BadDefinitions, match=r"nowhere\.yaml: No such file"):
        load_pipelines(
            tmp_path / "nowhere.yaml", tmp_path / "x", transformers=load_transformers(), url_problem=lambda url, **_: ""
        )
