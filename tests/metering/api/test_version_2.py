"""What programs of version 2 rely on beyond a page's shape: lenient Booleans, what is ignored, what is overridden, whole documents."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.support.samples import at, make_sample, store, store_samples

from .conftest import fault, posted

START = at("2016-01-05T10:00:00")


def test_the_document_of_versions_is_whole(client, db):
    expected = {
        "id": "v2",
        "status": "stable",
        "updated": "2013-02-13T00:00:00Z",
        "links": [
            {"rel": "self", "href": "http://testserver/v2"},
            {"rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"},
        ],
        "media-types": [
            {"base": "application/json", "type": "application/vnd.openstack.telemetry-v2+json"},
            {"base": "application/xml", "type": "application/vnd.openstack.telemetry-v2+xml"},
        ],
    }
    assert client.get("/").json() == {"versions": {"values": [expected]}}


@pytest.mark.parametrize("word", ["1", "t", "TRUE", "true", "on", "Y", "yes", "True"])
def test_the_usual_words_are_true(member, word):
    store()
    assert member.rows(f"/v2/meters?unique={word}")[0]["resource_id"] is None


@pytest.mark.parametrize("word", ["0", "false", "maybe", "", "None", "2"])
def test_any_other_word_is_false(member, word):
    store()
    assert member.rows(f"/v2/meters?unique={word}")[0]["resource_id"] == "r1"


@pytest.mark.parametrize(("links", "rels"), [("0", ["self"]), ("00", ["self"]), ("1", ["self", "cpu_util"]), ("-1", ["self", "cpu_util"]),
                                             ("7", ["self", "cpu_util"]), ("", None), ("True", None), ("1.0", None)])  # fmt: skip
def test_meter_links_is_a_whole_number_and_zero_means_none(member, links, rels):
    store()
    answer = member.get(f"/v2/resources?meter_links={links}")
    if rels is None:
        assert fault(answer).startswith(
            f"Invalid input for field/attribute meter_links. Value: '{links}'. unable to convert to int"
        )
    else:
        assert [link["rel"] for link in answer.json()[0]["links"]] == rels


def test_a_meter_of_two_units_is_linked_twice(member):
    store(unit="%")
    store(unit="ns")
    assert [link["rel"] for link in member.rows("/v2/resources/r1")["links"]] == ["self", "cpu_util", "cpu_util"]


@pytest.mark.parametrize("path", ["samples", "meters", "meters/cpu_util", "resources", "meters/cpu_util/statistics"])
def test_a_type_is_looked_at_for_metadata_alone(member, path):
    store(metadata={"size": 5})
    assert member.rows(f"/v2/{path}?q.field=resource_id&q.value=r1&q.type=nonsense")
    assert member.rows(f"/v2/{path}?q.field=metadata.size&q.value=5&q.type=integer")
    assert member.rows(f"/v2/{path}?q.field=resource_metadata.size&q.value=5&q.type=")
    assert not member.rows(f"/v2/{path}?q.field=metadata.size&q.value=5&q.type=string")
    assert not member.rows(f"/v2/{path}?q.field=metadata.nothing&q.value=5")


@pytest.mark.parametrize("path", ["samples", "meters", "meters/cpu_util", "resources", "meters/cpu_util/statistics"])
@pytest.mark.parametrize("field", ["user", "user_id", "project", "project_id", "resource", "resource_id", "source"])
def test_fields_and_their_aliases_hold_on_every_list(operator, path, field):
    values = {"user": "u2", "project": "p2", "resource": "r2", "source": "s2"}
    store()
    store(**values)
    name = field.removesuffix("_id")
    rows = operator.rows(f"/v2/{path}?q.field={field}&q.value={values[name]}")
    assert len(rows) == 1
    if "statistics" in path:
        assert rows[0]["count"] == 1
    else:
        key = "source" if name == "source" else f"{name}_id"
        assert rows[0][key] == values[name]
    assert not operator.rows(f"/v2/{path}?q.field={field}&q.value=nobody")


def test_the_meter_of_the_path_overrides_that_of_the_query(member):
    store(volume=1)
    store(meter="memory", volume=2)
    assert member.rows("/v2/meters/cpu_util/statistics?q.field=meter&q.value=memory")[0]["sum"] == 1.0
    assert member.rows("/v2/meters/cpu_util?q.field=meter&q.value=memory")[0]["counter_volume"] == 1.0
    assert member.rows("/v2/samples?q.field=meter&q.value=memory")[0]["volume"] == 2.0


@pytest.mark.parametrize("path", ["samples", "meters/cpu_util", "resources"])
def test_a_search_offset_moves_both_bounds_by_minutes(member, path):
    store_samples([make_sample(resource=f"r{n}", timestamp=START + timedelta(minutes=10 * n)) for n in range(7)])
    window = "q.field=timestamp&q.op=ge&q.value=2016-01-05T10:20&q.field=timestamp&q.op=lt&q.value=2016-01-05T10:40"
    assert len(member.rows(f"/v2/{path}?{window}")) == 2
    assert len(member.rows(f"/v2/{path}?{window}&q.field=search_offset&q.op=eq&q.value=10")) == 4
    assert len(member.rows(f"/v2/{path}?{window}&q.field=search_offset&q.op=eq&q.value=-5")) == 1


def test_reading_and_posting_have_arguments_of_their_own(member):
    assert fault(member.get("/v2/meters/cpu_util?direct=True")) == 'Unknown argument: "direct"'
    for argument in ("limit=1", "marker=x", "q.field=user&q.value=u"):
        answer = member.post(f"/v2/meters/cpu_util?{argument}", [posted()])
        assert fault(answer) == f'Unknown argument: "{argument.partition("=")[0]}"'
    assert member.rows("/v2/samples") == []
    assert member.post("/v2/meters/cpu_util?direct=maybe", [posted()]).status_code == 201


@pytest.mark.parametrize(
    "path",
    ["meters", "meters/cpu_util", "resources", "resources/r1", "samples", "meters/cpu_util/statistics", "capabilities"],
)
@pytest.mark.parametrize("accept", ["application/xml", "text/xml", "application/xml, text/xml;q=0.9"])
def test_xml_is_refused_in_json(operator, path, accept):
    answer = operator.get(f"/v2/{path}", headers={"Accept": accept})
    assert (answer.status_code, answer["Content-Type"]) == (406, "application/json")
    assert fault(answer).startswith(f"Accept: {accept}: expected one that admits application/json")


def test_an_unknown_meter_is_an_empty_list_never_404(member):
    for path in ("meters/none", "meters/none/statistics", "samples?q.field=meter&q.value=none"):
        assert member.rows(f"/v2/{path}") == []
    assert member.rows("/v2/meters?q.field=resource&q.value=none") == []


def test_a_sample_with_its_default_source_and_owner_is_shown_so(member):
    member.post("/v2/meters/cpu_util", [posted()])
    (row,) = member.rows("/v2/meters/cpu_util")
    assert (row["source"], row["user_id"], row["project_id"]) == ("p1:openstack", "member", "p1")
    assert member.rows("/v2/samples?q.field=source&q.value=p1:openstack")


def test_a_suffix_belongs_to_the_name(member):
    store(meter="meter.jpg")
    assert len(member.rows("/v2/meters/meter.jpg")) == 1
    assert member.rows("/v2/meters/meter") == []
