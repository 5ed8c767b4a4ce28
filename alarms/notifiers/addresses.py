"""Which addresses may be called: public ones, and what the operator allows.

Only unicast addresses that the whole internet routes are public. The address that was checked is the one that `http` connects to: a name
that changes its mind in between changes nothing.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from queue import Empty, SimpleQueue

__all__ = ["AddressRefused", "Network", "NoSuchName", "is_public", "resolve"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# Of IPv4: https://www.iana.org/assignments/iana-ipv4-special-registry, and a cloud's metadata service that lives on a public address.
_NOT_PUBLIC_V4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
]
# Of IPv6 only global unicast, so neither ::1, mapped IPv4, NAT64, unique local, link-local nor multicast; and in it, not what embeds or
# stands for something else: Teredo and other protocol assignments, documentation, 6to4.
_GLOBAL_V6 = IPv6Network("2000::/3")
_NOT_PUBLIC_V6 = [IPv6Network(text) for text in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")]
# ISATAP: the last 64 bits begin with this and end with an IPv4 address.
_ISATAP = (0x00005EFE, 0x02005EFE)


class NoSuchName(Exception):
    """A name that has no address, or whose address is not known in time."""


class AddressRefused(Exception):
    """A host that has an address which may not be called. ``address`` is for the operator's log, not for the alarm's owner."""

    def __init__(self, address: Address) -> None:
        self.address = address
        super().__init__("its address is not a public one")


def is_public(address: Address) -> bool:
    """Whether anybody on the internet could be there, and nobody else."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return (
        address in _GLOBAL_V6
        and address.scope_id is None
        and not any(address in network for network in _NOT_PUBLIC_V6)
        and (int(address) >> 32) & 0xFFFFFFFF not in _ISATAP
    )


def resolve(host: str, port: int, *, allowed: Sequence[Network], timeout_seconds: float) -> list[Address]:
    """The addresses of a host, each of which may be called. Raises NoSuchName, and AddressRefused if a single one may not be."""
    addresses = [ip_address(text) for text in dict.fromkeys(_look_up(host, port, timeout_seconds))]
    for address in addresses:
        if not is_public(address) and not any(address in network for network in allowed):
            raise AddressRefused(address)
    return addresses


def _look_up(host: str, port: int, timeout_seconds: float) -> list[str]:
    """Ask the system's resolver, which takes no bound on its time: in a thread that is left behind when it takes too long."""
    found: SimpleQueue[list[str] | Exception] = SimpleQueue()

    def ask() -> None:
        try:
            found.put([str(entry[4][0]) for entry in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)])
        except (OSError, UnicodeError) as error:
            found.put(error)

    threading.Thread(target=ask, name="resolver", daemon=True).start()
    try:
        answer = found.get(timeout=timeout_seconds)
    except Empty:
        raise NoSuchName("the address of its host is not known in time") from None
    if isinstance(answer, Exception) or not answer:
        raise NoSuchName("its host has no address")
    return answer
