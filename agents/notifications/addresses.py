"""CELOMETER_NOTIFICATION_URLS: which buses to listen to, and for what.

``rabbit://USER:PASSWORD@HOST:5672,USER:PASSWORD@HOST2:5672/VHOST?exchanges=nova,cinder`` as services have it in their ``transport_url``;
several URLs with blanks between them. Hosts of one URL are one cluster.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import parse_qsl, quote, unquote, urlsplit

__all__ = ["EXCHANGES", "PRIORITIES", "TOPICS", "BadAddress", "Bus", "read_addresses"]

# The exchanges that services name in control_exchange when nobody tells them otherwise.
EXCHANGES = (
    "nova", "cinder", "glance", "neutron", "keystone", "heat", "swift", "ironic", "trove", "dns", "octavia", "manila",
    "magnum", "sahara", "zaqar", "aodh", "ceilometer", "openstack",
)  # fmt: skip
TOPICS = ("notifications", "versioned_notifications")
# Of oslo.messaging's seven, those that something is made of.
PRIORITIES = ("info", "error", "sample")
SHARED = "shared"
_SCHEMES = {"rabbit": "amqp", "amqp": "amqp", "pyamqp": "amqp", "amqps": "amqps"}
_PARAMETERS = ("exchanges", "topics", "queue", "durable", "ssl", "ssl_ca_file")


class BadAddress(Exception):
    """A URL that cannot be used; the text names it without its password, and what was expected."""


class Bus(NamedTuple):
    """One message bus of a cloud.

    ``urls`` are its hosts, for kombu; ``name`` is what people are shown. ``queue`` is our own, or ``shared``: then the queues that
    publishers fill by themselves are consumed, and Ceilometer, if it runs, gets what we do not. ``durable`` is how exchanges (and shared
    queues) are made that are not there yet: as the services' ``amqp_durable_queues``. ``ca_file``: "" for the system's.
    """

    name: str
    urls: tuple[str, ...]
    exchanges: tuple[str, ...] = EXCHANGES
    topics: tuple[str, ...] = TOPICS
    queue: str = "celometer"
    durable: bool = False
    ssl: bool = False
    ca_file: str = ""

    @property
    def user(self) -> str:
        """Whom the broker knows us as, at its first host."""
        return unquote(urlsplit(self.urls[0]).username or "")

    def routing_keys(self) -> list[str]:
        return [f"{topic}.{priority}" for topic in self.topics for priority in PRIORITIES]


def read_addresses(text: str) -> list[Bus]:
    """All buses of the setting. Raises BadAddress."""
    buses = [_read_address(url) for url in text.split()]
    names = [bus.name for bus in buses]
    for name in names:
        if names.count(name) > 1:
            raise BadAddress(f"{name} stands twice: expected each bus once")
    return buses


def _read_address(url: str) -> Bus:
    parts = urlsplit(url)
    hosts = parts.netloc.split(",")
    vhost = unquote(parts.path[1:])
    name = f"{parts.scheme}://{','.join(host.rpartition('@')[2] for host in hosts)}/{vhost}"
    if parts.scheme not in _SCHEMES or not all(host.rpartition("@")[2] for host in hosts):
        raise BadAddress(f"{name}: expected rabbit://USER:PASSWORD@HOST:PORT/VHOST")
    options = _options(parts.query, name)
    scheme = _SCHEMES[parts.scheme]
    path = quote(vhost, safe="") if vhost else "/"
    return Bus(
        name=name,
        urls=tuple(f"{scheme}://{host}/{path}" for host in hosts),
        exchanges=_names(options, "exchanges", EXCHANGES, name),
        topics=_names(options, "topics", TOPICS, name),
        queue=options.get("queue", "celometer"),
        durable=_flag(options, "durable", name),
        ssl=scheme == "amqps" or _flag(options, "ssl", name) or "ssl_ca_file" in options,
        ca_file=options.get("ssl_ca_file", ""),
    )


def _options(query: str, name: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    for option, value in options.items():
        if option not in _PARAMETERS:
            raise BadAddress(f"{name}: parameter {option!r}: expected one of {', '.join(_PARAMETERS)}")
        if not value:
            raise BadAddress(f"{name}: parameter {option} is empty")
    return options


def _names(options: dict[str, str], option: str, default: tuple[str, ...], name: str) -> tuple[str, ...]:
    if option not in options:
        return default
    names = tuple(options[option].split(","))
    if not all(names) or len(set(names)) < len(names):
        raise BadAddress(f"{name}: {option}={options[option]!r}: expected names with commas between them, each once")
    return names


def _flag(options: dict[str, str], option: str, name: str) -> bool:
    value = options.get(option, "false").lower()
    if value not in ("true", "false", "1", "0"):
        raise BadAddress(f"{name}: {option}={options[option]!r}: expected true or false")
    return value in ("true", "1")
