"""Types of rules and schemes of actions that come from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from alarms import schemes
from alarms.notifiers import registry as notifiers
from alarms.rules import registry
from alarms.rules.contract import BadRule, RuleType
from alarms.rules.registry import DuplicateType, rule_types

from .conftest import assert_refused, definition, make


class Point:
    """An entry point, as far as it is looked at."""

    def __init__(self, name: str, target: object) -> None:
        self.name, self.target = name, target

    def load(self) -> object:
        return self.target


def parse(body: object, path: str) -> dict[str, object]:
    if body != {"side": "dark"}:
        raise BadRule.of_field("side", body, "expected dark")
    return {"side": "dark"}


MOON = RuleType("moon", parse, lambda rule: f"Alarm at the {rule['side']} side", may_be_leaf=True)


class Points(list[Point]):
    """Entry points of a group."""

    @property
    def names(self) -> set[str]:
        return {point.name for point in self}


@pytest.fixture
def install(monkeypatch) -> Iterator[object]:
    """Puts objects in the place of installed entry points, by group."""

    def put(**points: list[Point]) -> None:
        found = {f"celometer.{group}": entries for group, entries in points.items()}
        for module in (registry, notifiers):
            monkeypatch.setattr(module, "entry_points", lambda group: Points(found.get(group, [])))
        forget()

    def forget() -> None:
        rule_types.cache_clear()
        schemes.known_schemes.cache_clear()

    yield put
    monkeypatch.undo()
    forget()


def test_a_type_from_elsewhere_is_one_like_all_others(member, install):
    install(alarm_rules=[Point("moon", MOON)])
    alarm = make(member, type="moon", threshold_rule=None, moon_rule={"side": "dark"})
    assert (alarm["moon_rule"], alarm["description"]) == ({"side": "dark"}, "Alarm at the dark side")
    wrong = definition(type="moon", threshold_rule=None, moon_rule={})
    assert_refused(
        member.post("/v2/alarms", wrong), 400, "Invalid input for field/attribute side. Value: '{}'. expected dark"
    )
    leaf = make(
        member, type="composite", threshold_rule=None, composite_rule={"or": [{"type": "moon", "side": "dark"}]}
    )
    assert leaf["composite_rule"] == {"or": [{"type": "moon", "side": "dark"}]}
    # When it is gone its alarms are shown as before, and can be removed.
    install()
    assert member.rows(f"/v2/alarms/{alarm['alarm_id']}") == alarm
    assert member.client.delete(f"/v2/alarms/{alarm['alarm_id']}").status_code == 204


def test_no_type_takes_the_name_of_another(install):
    install(alarm_rules=[Point("x", RuleType("threshold", parse, str))])
    with pytest.raises(DuplicateType, match="threshold"):
        rule_types()


def test_a_scheme_from_elsewhere_may_be_told(member, install):
    body = definition(ok_actions=["sms:+385"])
    assert_refused(member.post("/v2/alarms", body), 400, "Unsupported action sms:+385")
    install(notifiers=[Point("sms", object)])
    assert member.post("/v2/alarms", body).status_code == 201
