"""events.yaml: which event is made of a notification, with which traits, and what is wrong with a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.definition_files import BadDefinitions
from agents.notifications.definitions.events import EventDefinitions, read_events
from metering.messages import Event, event_problem

from .notifications import SENT_AT, VOLUME, Reports, notification


def definitions(tmp_path: Path, text: str, **options: Any) -> EventDefinitions:
    path = tmp_path / "events.yaml"
    path.write_text(text)
    return read_events(path, source="openstack", **options)


def traits_of(event: Event | None) -> dict[str, tuple[str, str]]:
    assert event is not None
    return {trait.name: (trait.type, trait.value) for trait in event.traits}


def trait(tmp_path: Path, definition: str, value: Any) -> tuple[tuple[str, str] | None, list[str]]:
    """What ``definition`` makes of a value under $.payload.value."""
    reports = Reports()
    events = definitions(tmp_path, f"- {{event_type: '*', traits: {{t: {definition}}}}}")
    event = events.event(notification(payload={"value": value}), report=reports)
    return traits_of(event).get("t"), [what for _, what in reports]


def test_an_event_is_the_notification_s(tmp_path: Path) -> None:
    given = notification(payload=VOLUME, ctxt={"request_id": "req-1"})
    event = definitions(tmp_path, "").event(given, report=Reports())
    assert event is not None
    assert (event.id, event.type, event.source, event.generated) == ("m1", "volume.exists", "openstack", SENT_AT)
    assert msgspec.json.decode(event.raw) == VOLUME
    assert [(name, value) for name, _, value in event.traits] == [
        ("service", "volume.ctl-01"),
        ("request_id", "req-1"),
        ("project_id", "p1"),
        ("tenant_id", "p1"),
        ("user_id", "u1"),
    ]


@pytest.mark.parametrize(
    ("event_type", "priority", "is_event"),
    [
        ("volume.exists", "INFO", True),
        ("compute.instance.create.error", "ERROR", True),
        ("volume.exists", "SAMPLE", False),
        ("volume.exists", "AUDIT", False),
        ("telemetry.polling", "SAMPLE", False),
        ("telemetry.polling", "INFO", False),
    ],
)
def test_info_and_error_are_events_and_polled_samples_are_not(
    tmp_path: Path, event_type: str, priority: str, is_event: bool
) -> None:
    event = definitions(tmp_path, "").event(notification(event_type, priority=priority), report=Reports())
    assert (event is not None) is is_event


RULES = """
- event_type: '*http.*'
  traits: {rule: {fields: payload.general}}
- event_type: [volume.exists, 'snapshot.*', '!snapshot.update']
  traits: {rule: {fields: payload.volume}}
- event_type: ['!volume.*', '!snapshot.*', '!*http*']
  traits: {rule: {fields: payload.rest}}
- event_type: volume.exists
  traits: {rule: {fields: payload.exists}}
- event_type: 'telemetry'
"""


@pytest.mark.parametrize(
    ("event_type", "rule"),
    [
        ("objectstore.http.request", "general"),
        ("snapshot.create.end", "volume"),
        ("snapshot.update", None),
        ("volume.exists", "exists"),
        ("volume.exists_x", None),
        ("image.update", "rest"),
        ("telemetry", None),
    ],
)
def test_the_last_rule_that_matches_counts(tmp_path: Path, event_type: str, rule: str | None) -> None:
    payload = {name: name for name in ("general", "volume", "rest", "exists")}
    made = traits_of(definitions(tmp_path, RULES).event(notification(event_type, payload), report=Reports()))
    assert made.get("rule") == (None if rule is None else ("string", rule))
    assert "service" in made


def test_what_no_rule_matches_is_an_event_with_default_traits_or_is_dropped(tmp_path: Path) -> None:
    given = notification("volume.exists_x")
    assert "project_id" in traits_of(definitions(tmp_path, RULES).event(given, report=Reports()))
    dropping = definitions(tmp_path, RULES, drop_unmatched=True)
    assert dropping.event(given, report=Reports()) is None
    assert dropping.event(notification("volume.exists"), report=Reports()) is not None


def test_a_rule_of_the_file_goes_before_the_default_and_finds_nothing_without_losing_it(tmp_path: Path) -> None:
    text = """
- event_type: '*'
  traits:
    service: {fields: 'publisher_id.`split(., 0, -1)`'}
    project_id: {fields: ctxt.tenant_id}
    user_id: {fields: payload.owner}
"""
    given = notification(payload={"owner": "o"}, ctxt={"project_id": "p", "user_id": "u"})
    made = traits_of(definitions(tmp_path, text).event(given, report=Reports()))
    assert made["service"] == ("string", "volume")
    assert made["project_id"] == made["tenant_id"] == ("string", "o")
    assert made["user_id"] == ("string", "o")
    # Neutron says the project in its context alone, and no longer as tenant_id.
    given = notification("network.create.end", {"network": {"id": "n"}}, ctxt={"project_id": "p", "user_id": "u"})
    made = traits_of(definitions(tmp_path, text).event(given, report=Reports()))
    assert (made["project_id"], made["tenant_id"], made["user_id"]) == (("string", "p"),) * 2 + (("string", "u"),)


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        ("text", "x" * 300, ("string", "x" * 255)),
        ("text", "", ("string", "")),
        ("text", None, None),
        ("text", 17, ("string", "17")),
        ("text", 0, ("string", "0")),
        ("text", 0.1, ("string", "0.1")),
        ("text", True, ("string", "True")),
        ("text", {"a": [1, None]}, ("string", '{"a":[1,null]}')),
        ("string", "a", ("string", "a")),
        ("int", 2**70, ("integer", str(2**70))),
        ("int", " 12 ", ("integer", "12")),
        ("int", "-007", ("integer", "-7")),
        ("int", 12.0, ("integer", "12")),
        ("int", 1e22, ("integer", "1" + "0" * 22)),
        ("int", False, ("integer", "0")),
        ("int", "", None),
        ("int", None, None),
        ("float", 1, ("float", "1.0")),
        ("float", "0.10", ("float", "0.1")),
        ("float", True, ("float", "1.0")),
        ("float", "", None),
        ("datetime", "2026-03-14T09:20:00.512345+0100", ("datetime", "2026-03-14T08:20:00.512345")),
        ("datetime", "2026-03-14 09:26:12+00:00", ("datetime", "2026-03-14T09:26:12")),
        ("datetime", "", None),
    ],
)
def test_types_of_traits(tmp_path: Path, type: str, value: Any, expected: tuple[str, str] | None) -> None:
    assert trait(tmp_path, f"{{fields: payload.value, type: {type}}}", value) == (expected, [])


@pytest.mark.parametrize(
    ("type", "value"),
    [
        ("int", "twelve"),
        ("int", 12.5),
        ("int", "1.0"),
        ("int", 10**64),
        ("int", [1]),
        ("int", "٣"),
        ("float", "much"),
        ("float", "1e999"),
        ("float", "nan"),
        ("float", {}),
        ("datetime", "yesterday"),
        ("datetime", 1773480401),
        ("text", "a\0b"),
        ("text", "\ud800"),
    ],
)
def test_a_value_that_is_not_of_the_type_leaves_out_its_trait_alone_and_is_told(
    tmp_path: Path, type: str, value: Any
) -> None:
    reports = Reports()
    text = (
        f"- {{event_type: '*', traits: {{t: {{fields: payload.value, type: {type}}}, other: {{fields: payload.b}}}}}}"
    )
    given = notification(payload={"b": "b"})
    given = msgspec.structs.replace(given, payload={"value": value, "b": "b"})
    made = traits_of(definitions(tmp_path, text).event(given, report=reports))
    assert "t" not in made and made["other"] == ("string", "b")
    ((where, what),) = reports
    assert where == "volume.exists" and what.startswith("trait t: is left out: ")


def test_fields_are_several_paths_of_which_the_first_with_a_value_counts(tmp_path: Path) -> None:
    assert trait(tmp_path, "{fields: [payload.missing, payload.value]}", 0) == (("string", "0"), [])
    assert trait(tmp_path, "{fields: payload.missing|payload.value}", False) == (("string", "False"), [])
    assert trait(tmp_path, "{fields: [payload.missing]}", 1) == (None, [])


def test_plugins_of_traits(tmp_path: Path) -> None:
    split = "{fields: payload.value, plugin: {name: split, parameters: {segment: 1}}}"
    assert trait(tmp_path, split, "a.b") == (("string", "b"), [])
    assert trait(tmp_path, split, "a") == (None, [])
    bits = "{fields: [payload.value], type: int, plugin: {name: bitfield, parameters: {flags: [{path: payload.value, bit: 3}]}}}"
    assert trait(tmp_path, bits, "x") == (("integer", "8"), [])
    assert trait(tmp_path, bits, None) == (("integer", "0"), [])
    mapped = "{fields: payload.value, type: int, plugin: {name: map, parameters: {values: {up: 1}, default: 9}}}"
    assert trait(tmp_path, mapped, "up") == (("integer", "1"), [])
    assert trait(tmp_path, mapped, "down") == (
        ("integer", "9"),
        ["trait t: 'down' is not among the values of the plugin map"],
    )


def test_an_event_that_no_collector_would_take_is_told(tmp_path: Path) -> None:
    events = definitions(tmp_path, "")
    for change in ({"message_id": "m" * 256}, {"event_type": ""}):
        reports = Reports()
        assert events.event(msgspec.structs.replace(notification(), **change), report=reports) is None
        assert reports[0][1].startswith("no event: ")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=5)
    | st.text("\0\ud800", max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "project_id", "a"]), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(JSON, st.dictionaries(st.sampled_from(["project_id", "user", "request_id"]), JSON))
@settings(deadline=None)
def test_any_payload_is_an_event_that_can_travel(
    tmp_path_factory: pytest.TempPathFactory, payload: Any, ctxt: dict[str, Any]
) -> None:
    traits = ", ".join(
        f"{type}{number}: {{fields: [{path}], type: {type}}}"
        for type in ("text", "int", "float", "datetime")
        for number, path in enumerate(("payload", "payload.value", "payload..a", "ctxt.user"))
    )
    events = definitions(tmp_path_factory.mktemp("events"), f"- {{event_type: '*', traits: {{{traits}}}}}")
    given = msgspec.structs.replace(notification(ctxt=ctxt), payload=payload)
    event = events.event(given, report=Reports())
    assert event is not None and event_problem(event) == ""


# Files.


def test_rules_that_are_never_reached_are_told(tmp_path: Path) -> None:
    events = definitions(
        tmp_path,
        """
- {event_type: objectstore.http.request, traits: {}}
- {event_type: [volume.*, snapshot.*], traits: {}}
- {event_type: [image.*, '!image.send'], traits: {}}
- {event_type: volume.*, traits: {}}
- {event_type: snapshot.*, traits: {}}
- {event_type: ['image.*', '!image.send', '!image.update'], traits: {}}
- {event_type: '*http.*', traits: {}}
""",
    )
    assert [(warning.line, warning.text) for warning in events.warnings] == [
        (2, "rule 'objectstore.http.request' is never reached: all that it matches is taken by line 8 further down"),
        (3, "rule 'volume.*, snapshot.*' is never reached: all that it matches is taken by lines 5, 6 further down"),
    ]


def test_of_many_rules_that_are_never_reached_the_first_five_are_told(tmp_path: Path) -> None:
    rules = "".join(f"- {{event_type: compute.{number}, traits: {{}}}}\n" for number in range(8))
    events = definitions(tmp_path, f"{rules}- {{event_type: compute.*, traits: {{}}}}\n")
    assert [warning.line for warning in events.warnings] == [1, 2, 3, 4, 5, 0]
    assert events.warnings[-1].text == "and 3 more rules are never reached"


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        ("5", "5: expected a mapping with event_type and traits"),
        ("{traits: {}}", "event_type None: expected a glob or a list of globs"),
        ("{event_type: [], traits: {}}", "event_type []: expected a glob"),
        ("{event_type: ['!'], traits: {}}", "event_type ['!']: expected a glob"),
        ("{event_type: a, trait: {}}", "unknown key 'trait'; known are event_type, traits"),
        ("{event_type: a, traits: [b]}", "traits ['b']: expected a mapping"),
        (
            "{event_type: a, traits: {t: payload.a}}",
            "trait t: 'payload.a': expected fields, and perhaps type and plugin",
        ),
        ("{event_type: a, traits: {t: {type: int}}}", "trait t: {'type': 'int'}: expected fields"),
        ("{event_type: a, traits: {t: {fields: a, typ: int}}}", "expected fields, and perhaps type and plugin"),
        (
            "{event_type: a, traits: {t: {fields: a, type: number}}}",
            "trait t: type 'number': expected text, int, float",
        ),
        ("{event_type: a, traits: {t: {fields: 'a['}}}", "trait t: path 'a[' at character 3"),
        ("{event_type: a, traits: {t: {fields: []}}}", "trait t: expected at least one path"),
        ("{event_type: a, traits: {t: {fields: a, plugin: b}}}", "trait t: plugin 'b': expected one of split"),
        ("{event_type: a, traits: {5: {fields: a}}}", "trait 5: expected a name of at most 255 characters"),
    ],
)
def test_mistakes_are_told_all_at_once_with_their_lines(tmp_path: Path, item: str, complaint: str) -> None:
    with pytest.raises(BadDefinitions) as error:
        definitions(tmp_path, f"- {item}\n- {{event_type: good, traits: {{}}}}\n- {item}\n")
    assert [mistake.line for mistake in error.value.mistakes] == [1, 3]
    assert all(complaint in mistake.text for mistake in error.value.mistakes)


def test_a_file_that_is_no_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadDefinitions, match="expected a list of definitions"):
        definitions(tmp_path, "events: []")
    with pytest.raises(BadDefinitions, match="No such file"):
        read_events(tmp_path / "away.yaml", source="openstack")


def test_more_traits_than_an_event_may_have_are_a_mistake(tmp_path: Path) -> None:
    """No collector would take such an event, so none would ever be stored."""
    path = tmp_path / "events.yaml"
    for count, fits in ((495, True), (496, False)):
        traits = "".join(f"    t{number}: {{fields: payload.x}}\n" for number in range(count))
        path.write_text(f"- event_type: x\n  traits:\n{traits}")
        if fits:
            assert read_events(path, source="s")
        else:
            with pytest.raises(BadDefinitions, match="496 traits: expected at most 495"):
                read_events(path, source="s")
