"""What an action's URL may look like. Pure: nothing is resolved."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

__all__ = ["BadUrl", "Target", "check_url", "read_address", "read_target", "receiver_of"]

_MAX_CHARACTERS = 2048
_DEFAULT_PORTS = {"http": 80, "https": 443}
# No blanks, no control characters, nothing beyond ASCII; no backslash (which browsers take for a slash), no fragment.
_CHARACTERS = re.compile(r"[!\"$-\[\]-~]+")
_NETLOC = re.compile(r"(\[[^\[\]]*\]|[^\[\]:]*)(:[0-9]{0,5})?")
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(\.(?!-)[A-Za-z0-9_-]{1,63})*")
# One mail address, as the world writes them; no list, no header, no quoted part.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?!-)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class BadUrl(Exception):
    """An action's URL that cannot be used; the text says why, without its secrets."""


class Target(NamedTuple):
    """Where a webhook goes. ``host`` is a name, or an address in its one form (IPv6 without brackets); ``path`` has the query in it."""

    scheme: str
    host: str
    port: int
    path: str


def check_url(url: str) -> None:
    """Raise BadUrl for what no attempt could use; where it leads to is checked at each attempt. Schemes of plugins are theirs to read."""
    scheme = url.partition(":")[0].lower()
    if scheme in _DEFAULT_PORTS:
        read_target(url)
    elif scheme == "mailto":
        read_address(url)


def read_address(url: str) -> str:
    """The one address of a ``mailto:`` URL. Raises BadUrl where it has none, several, or more than an address."""
    address = unquote(url.partition(":")[2])
    if len(address) > 254 or not _ADDRESS.fullmatch(address):
        raise BadUrl("expected mailto: and one address")
    return address


def read_target(url: str) -> Target:
    """Read the URL of a webhook. Raises BadUrl for whatever two readers might read in two ways."""
    if len(url) > _MAX_CHARACTERS or not _CHARACTERS.fullmatch(url):
        raise BadUrl(
            f"expected at most {_MAX_CHARACTERS} characters, all of ASCII, no blanks, no backslash, no # (names as xn--…)"
        )
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise BadUrl("expected scheme://host:port/path") from None
    if parts.scheme not in _DEFAULT_PORTS or not parts.netloc:
        raise BadUrl("expected http://… or https://…")
    if "@" in parts.netloc:
        raise BadUrl("a login in a URL is not taken: a receiver verifies the signature instead")
    if port == 0 or not _NETLOC.fullmatch(parts.netloc):
        raise BadUrl("expected a host, or a host and a port of 1 to 65535")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, _read_host(host, parts.netloc), port or _DEFAULT_PORTS[parts.scheme], path)


def _read_host(host: str, netloc: str) -> str:
    if netloc.startswith("["):
        try:
            return str(IPv6Address(host)) if "%" not in host else _refuse(host)
        except ValueError:
            _refuse(host)
    host = host.removesuffix(".")
    if len(host) > 253 or not _NAME.fullmatch(host):
        _refuse(host)
    if _is_number(host.rpartition(".")[2]):
        # Others take 2130706433, 0x7f.1 and 0177.0.0.1 for addresses, each in its own way.
        try:
            return str(IPv4Address(host))
        except ValueError:
            _refuse(host)
    return host


def _is_number(label: str) -> bool:
    return label.isdigit() or re.fullmatch(r"0[xX][0-9A-Fa-f]*", label) is not None


def _refuse(host: str) -> str:
    raise BadUrl(f"host {host!r:.100}: expected a name, an IPv4 address as 203.0.113.7, or an IPv6 address in brackets")


def receiver_of(url: str) -> str:
    """Who is at this URL, for bounds: the same host is one receiver, whatever the path and the port."""
    try:
        target = read_target(url)
    except BadUrl:
        return url.partition(":")[0].lower()[:100]
    return f"{target.scheme}://{target.host.lower()}"
