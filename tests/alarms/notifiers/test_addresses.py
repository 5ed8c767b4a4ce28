from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.notifiers.addresses import AddressRefused, NoSuchName, is_public, resolve

NOT_PUBLIC = {
    "this network": ["0.0.0.0", "0.1.2.3"],
    "private": ["10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.0.1"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255", "100.100.100.200"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "link-local, metadata": ["169.254.0.1", "169.254.169.254", "fe80::1", "fe80::a9fe:a9fe", "168.63.129.16"],
    "protocols": ["192.0.0.1", "192.0.0.192", "192.88.99.1", "198.18.0.1", "198.19.255.255"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "multicast, reserved, broadcast": ["224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255", "ff02::1", "ff0e::1"],
    "unspecified": ["::"],
    "unique local": ["fc00::1", "fd00:ec2::254", "fd12:3456::1", "fec0::1"],
    "mapped and compatible IPv4": ["::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:10.0.0.1", "::10.0.0.1", "::127.0.0.1"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::a00:1"],
    "6to4": ["2002:7f00:1::", "2002:a9fe:a9fe::1", "2002:808:808::1"],
    "Teredo, ORCHID": ["2001::1", "2001:0:7f00:1::", "2001:10::1", "2001:20::1"],
    "ISATAP": ["2a00:1::5efe:7f00:1", "2a00:1::200:5efe:a00:1"],
    "discard, segment routing, unassigned": ["100::1", "5f00::1", "4000::1", "8000::1"],
}  # fmt: skip


@pytest.mark.parametrize("text", [text for texts in NOT_PUBLIC.values() for text in texts])
def test_what_is_not_public_is_refused(text: str) -> None:
    assert not is_public(ip_address(text))


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2a00:1450:4001::8a", "2606:4700::1111"]
)
def test_what_is_public_is_called(text: str) -> None:
    assert is_public(ip_address(text))


@given(st.ip_addresses(v=4))
def test_what_the_standard_library_takes_for_private_is_never_public(address: IPv4Address) -> None:
    if not address.is_global or address.is_multicast or address.is_reserved:
        assert not is_public(address)


@given(st.ip_addresses())
def test_an_address_with_ipv4_in_it_is_never_public(address: IPv4Address | IPv6Address) -> None:
    four = int(address) & 0xFFFFFFFF
    assert not is_public(IPv6Address(0xFFFF << 32 | four))
    assert not is_public(IPv6Address(0x64FF9B << 96 | four))
    assert not is_public(IPv6Address(0x2002 << 112 | four << 80))
    assert not is_public(IPv6Address(0x20010000 << 96 | four))


def test_one_address_that_may_not_be_called_refuses_the_name(names) -> None:
    names["mixed.example"] = [["8.8.8.8", "2a00:1450::1", "10.0.0.1"]]
    with pytest.raises(AddressRefused) as refused:
        resolve("mixed.example", 80, allowed=[], timeout_seconds=5)
    assert str(refused.value.address) == "10.0.0.1"
    assert "10.0.0.1" not in str(refused.value), "an alarm's owner is not told what is inside"


def test_what_the_operator_allows_may_be_called_and_nothing_beside_it(names) -> None:
    names["inside.example"] = [["10.20.0.5"]]
    names["beside.example"] = [["10.21.0.5"]]
    names["mapped.example"] = [["::ffff:10.20.0.5"]]
    allowed = [ip_network("10.20.0.0/16")]
    assert resolve("inside.example", 80, allowed=allowed, timeout_seconds=5) == [ip_address("10.20.0.5")]
    for name in ("beside.example", "mapped.example"):
        with pytest.raises(AddressRefused):
            resolve(name, 80, allowed=allowed, timeout_seconds=5)


def test_names_of_this_machine_lead_nowhere() -> None:
    for name in ("localhost", "127.0.0.1", "::1", "::ffff:127.0.0.1", "0.0.0.0", "0", "127.1", "2130706433", "0x7f.1"):
        with pytest.raises(AddressRefused):
            resolve(name, 80, allowed=[], timeout_seconds=5)


def test_a_resolver_that_does_not_answer_is_not_waited_for(monkeypatch) -> None:
    import socket
    import threading

    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **options: over.wait(60) and [])
    with pytest.raises(NoSuchName, match="in time"):
        resolve("slow.example", 80, allowed=[], timeout_seconds=0.2)
    over.set()


def test_a_name_without_address_is_told(names) -> None:
    names["nowhere.example"] = [[]]
    for name in ("nowhere.example", "a" * 70 + ".example"):
        with pytest.raises(NoSuchName, match="no address"):
            resolve(name, 80, allowed=[], timeout_seconds=5)
