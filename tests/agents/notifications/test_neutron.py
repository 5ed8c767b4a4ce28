from __future__ import annotations

from typing import Any

import msgspec
import pytest

from agents.notifications.neutron import each_of
from tests.support.notifications import (
    CAPTURED,
    LEGACY,
    captured,
    make_event,
    notification,
    shipped_events,
    stored,
    traits_of,
)

OF_ONE_REQUEST = {
    "event_type": "network.create.end",
    "_context_user_id": "u1",
    "_context_project_id": "admin-project",
    "payload": {"networks": [{"id": f"n{number}", "name": "web", "project_id": f"p{number}"} for number in range(3)]},
}


def test_networks_made_in_one_request_are_an_event_each() -> None:
    each = each_of(notification(OF_ONE_REQUEST))
    traits = [traits_of(shipped_events(), one) for one in each]
    assert [(trait["resource_id"], trait["project_id"], trait["user_id"]) for trait in traits] == [
        ("n0", "p0", "u1"),
        ("n1", "p1", "u1"),
        ("n2", "p2", "u1"),
    ]
    assert [one.message_id for one in each] == ["m-1", "m-1-1", "m-1-2"]
    assert [one.origin for one in each] == ["m-1", "m-1-1", "m-1-2"]


def test_each_event_s_payload_is_that_of_its_resource() -> None:
    event = make_event(shipped_events(), each_of(notification(OF_ONE_REQUEST))[1])
    assert event is not None
    assert msgspec.json.decode(event.raw) == {"network": {"id": "n1", "name": "web", "project_id": "p1"}}


def test_the_same_message_again_is_the_same_notifications() -> None:
    assert each_of(notification(OF_ONE_REQUEST)) == each_of(notification(OF_ONE_REQUEST))


def test_what_a_whole_neutron_sent() -> None:
    """A network, a subnet, a port and a router came, and some went; then two networks of two projects were made in one request."""
    sent = [captured(path) for path in sorted((CAPTURED / "neutron").glob("*.wire.json"))]
    told = [(each.event_type, traits_of(shipped_events(), each)) for message in sent for each in each_of(message)]
    assert len(told) == len(sent) + 1 == 17
    for event_type, traits in told:
        # Before it is made, a thing has no id.
        assert ("resource_id" in traits) is not event_type.endswith("create.start")
        assert traits["request_id"].startswith("req-")
        assert traits["user_id"] == "a90d3b6c1e5f4a2b8c7d6e5f40312233"
    mine, theirs = (traits for _, traits in told[-2:])
    assert (mine["name"], mine["project_id"]) == ("bulk-1", "4c1f7e0f2b7d4f3b9d5f0a6c8e21b7aa")
    assert (theirs["name"], theirs["project_id"]) == ("bulk-2", "5d208f103c8e505cae60b7d9f32c8bb0")
    gone = dict(told)["port.delete.end"]
    assert (gone["name"], gone["fixed_ip_address"]) == ("eth1", dict(told)["port.create.end"]["fixed_ip_address"])


def test_nobody_sees_what_was_made_for_another_project_in_the_same_request() -> None:
    bulk = captured(CAPTURED / "neutron" / "15-network.create.end.wire.json")
    for each in each_of(bulk):
        event = make_event(shipped_events(), each)
        assert event is not None
        project, _ = event.owner()
        assert {resource["project_id"] for resource in msgspec.json.decode(event.raw).values()} == {project}


def test_a_plural_may_end_in_ies() -> None:
    message = {"event_type": "firewall_policy.create.end", "payload": {"firewall_policies": [{"id": "a"}, {"id": "b"}]}}
    assert [one.payload for one in each_of(notification(message))] == [
        {"firewall_policy": {"id": "a"}},
        {"firewall_policy": {"id": "b"}},
    ]


@pytest.mark.parametrize(
    ("event_type", "payload"),
    [
        ("network.create.end", {"network": {"id": "n1"}}),
        ("network.create.end", {"networks": []}),
        ("network.create.end", {"networks": ["n1"]}),
        ("network.create.end", {"networks": {"id": "n1"}}),
        ("network.create.end", {"ports": [{"id": "po1"}]}),
        ("network.create.end", ["networks"]),
        ("network.create.end", None),
        ("network.create.start", {"networks": [{"name": "web"}, {"name": "db"}]}),
        ("networks", {"networks": [{"id": "n1"}]}),
    ],
)
def test_all_else_stays_as_it_is(event_type: str, payload: Any) -> None:
    alone = notification({"event_type": event_type, "payload": payload})
    assert each_of(alone) == [alone]


def test_a_network_made_alone_stays_as_it_is() -> None:
    alone = stored(LEGACY["network.create.end"])
    assert each_of(alone)[0] is alone
