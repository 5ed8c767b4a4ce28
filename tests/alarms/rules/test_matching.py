"""Which events hit which rules."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.rules.decision import ALARM, OK
from alarms.rules.matching import EventIndex, SeenEvent, decide_event, matches
from tests.support.samples import at

TRAITS = (
    ("project_id", "string", "p1"),
    ("instance_id", "string", "i-1"),
    ("memory_mb", "integer", "512"),
    ("load", "float", "0.5"),
    ("launched_at", "datetime", "2016-01-05T09:00:00"),
    ("encrypted", "string", "True"),
)
EVENT = SeenEvent("m1", "compute.instance.create.end", at("2016-01-05T10:00:00"), TRAITS)


def rule(event_type="*", *items):
    query = [
        dict(zip(("field", "op", "value", "type"), item, strict=False)) | ({} if len(item) > 3 else {"type": "string"})
        for item in items
    ]
    return {"event_type": event_type, "query": query}


@pytest.mark.parametrize(
    ("pattern", "items", "hit"),
    [
        ("compute.*", [("traits.instance_id", "eq", "i-1", "string")], True),
        ("COMPUTE.*", [], False),
        ("compute", [], False),
        ("compute.instance.c????e.*", [], True),
        ("compute.instance.[!c]*", [], False),
        ("compute.instance.[a-d]reate.end", [], True),
        ("*", [("traits.memory_mb", "gt", "256", "integer")], True),
        ("*", [("traits.memory_mb", "eq", "512", "")], False),
        ("*", [("traits.memory_mb", "eq", "512", "integer")], True),
        ("*", [("traits.memory_mb", "eq", "512.0", "float")], True),
        ("*", [("traits.memory_mb", "ne", "512", "")], True),
        ("*", [("traits.nope", "eq", "x")], False),
        ("*", [("traits.nope", "ne", "x")], True),
        ("*", [("traits.nope", "gt", "5", "integer")], False),
        # Upstream these never match.
        ("*", [("message_id", "eq", "m1")], True),
        ("*", [("instance_id", "eq", "i-1")], True),
        ("*", [("traits.encrypted", "eq", "true", "boolean")], True),
        ("*", [("traits.launched_at", "lt", "2016-01-05T10:00:00+00:00", "datetime")], True),
        ("*", [("generated", "ge", "2016-01-05T10:00:00", "datetime")], True),
        ("*", [("traits.load", "le", "0.5", "float"), ("traits.memory_mb", "lt", "512", "integer")], False),
        # A value that is none of its type hits nothing, and stops nobody.
        ("*", [("traits.memory_mb", "ne", "many", "integer")], False),
    ],
)
def test_the_table_of_matches(pattern, items, hit):
    assert matches(rule(pattern, *items), EVENT) is hit


def test_a_hit_is_an_alarm_and_fires_again_only_where_it_repeats():
    about = rule("compute.*", ("traits.instance_id", "eq", "i-1", "string"))
    decision = decide_event(about, EVENT, OK, repeats=False)
    assert (decision.state, decision.fires) == (ALARM, True)
    assert decision.reason == (
        "Event <id=m1,event_type=compute.instance.create.end> hits the query "
        '<query=[{"field": "traits.instance_id", "op": "eq", "type": "string", "value": "i-1"}]>.'
    )
    assert decision.reason_data["event"]["traits"][2:4] == [["memory_mb", 2, 512], ["load", 3, 0.5]]
    assert not decide_event(about, EVENT, ALARM, repeats=False).fires
    assert decide_event(about, EVENT, ALARM, repeats=True).fires


def test_the_owner_of_an_event_is_who_its_last_trait_names():
    assert EVENT.project_id == "p1"
    assert EVENT._replace(traits=(*TRAITS, ("tenant_id", "string", "p2"))).project_id == "p2"
    assert EVENT._replace(traits=()).project_id == ""


patterns = st.text("ab.*?[]!", max_size=5)
types = st.text("ab.", min_size=1, max_size=6)


@given(
    pattern=patterns,
    event_type=types,
    owner=st.sampled_from(["p1", "p2", ""]),
    project=st.sampled_from(["p1", "p2", ""]),
)
def test_the_index_leaves_out_only_what_cannot_match(pattern, event_type, owner, project):
    traits = [("project_id", "string", owner)] if owner else []
    event = SeenEvent("m", event_type, at("2016-01-05T10:00:00"), traits)
    found = list(EventIndex([(project, pattern, "alarm")]).candidates(event))
    if project in (owner, "") and matches(rule(pattern), event):
        assert found == ["alarm"]
    if project not in (owner, ""):
        assert found == []
