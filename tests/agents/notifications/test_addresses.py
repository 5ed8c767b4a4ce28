"""CELOMETER_NOTIFICATION_URLS: what services have in transport_url is understood, and mistakes are named without passwords."""

from __future__ import annotations

import pytest

from agents.notifications.addresses import EXCHANGES, TOPICS, BadAddress, read_addresses


def test_hosts_of_one_url_are_one_bus() -> None:
    (bus,) = read_addresses("rabbit://u:p@mq1:5672,u:p@mq2:5673/nova")
    assert bus.urls == ("amqp://u:p@mq1:5672/nova", "amqp://u:p@mq2:5673/nova")
    assert bus.name == "rabbit://mq1:5672,mq2:5673/nova"
    assert (bus.exchanges, bus.topics, bus.queue, bus.durable, bus.ssl) == (
        EXCHANGES,
        TOPICS,
        "celometer",
        False,
        False,
    )


@pytest.mark.parametrize(
    ("path", "vhost"), [("", "//"), ("/", "//"), ("/a", "/a"), ("/a%2Fb", "/a%2Fb"), ("//", "/%2F")]
)
def test_the_virtual_host_is_the_path_without_its_first_slash(path: str, vhost: str) -> None:
    (bus,) = read_addresses(f"rabbit://u:p@mq{path}")
    assert bus.urls == (f"amqp://u:p@mq{vhost}",)


def test_several_buses_stand_with_blanks_between_them() -> None:
    buses = read_addresses("rabbit://a/\n  amqps://b/x?exchanges=nova,cinder&topics=t&queue=shared&durable=true")
    assert [bus.name for bus in buses] == ["rabbit://a/", "amqps://b/x"]
    assert buses[1].exchanges == ("nova", "cinder")
    assert buses[1].routing_keys() == ["t.info", "t.error", "t.sample"]
    assert (buses[1].queue, buses[1].durable, buses[1].ssl) == ("shared", True, True)
    assert read_addresses("  ") == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kafka://u:secret@h/", "expected rabbit://"),
        ("rabbit://", "expected rabbit://"),
        ("rabbit://u:secret@h,/v", "expected rabbit://"),
        ("rabbit://u:secret@h/?exchange=nova", "parameter 'exchange'"),
        ("rabbit://u:secret@h/?exchanges=", "is empty"),
        ("rabbit://u:secret@h/?exchanges=nova,nova", "each once"),
        ("rabbit://u:secret@h/?durable=perhaps", "expected true or false"),
        ("rabbit://u:secret@h/ rabbit://u:secret@h/", "stands twice"),
    ],
)
def test_a_mistake_is_named_and_no_password_is_shown(text: str, told: str) -> None:
    with pytest.raises(BadAddress, match=told) as caught:
        read_addresses(text)
    assert "secret" not in str(caught.value)
