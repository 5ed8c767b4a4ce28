"""Typed readers of the environment: the one place that looks at ``os.environ``.

Where no URL is given for the store or the broker, the embedded servers are meant: ``config.launch`` leaves their addresses in
``$CELOMETER_HOME/run/servers.json``.
"""

from __future__ import annotations

import json
import os
import socket
from datetime import UTC, date, datetime, timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

__all__ = [
    "BadSetting",
    "broker_url",
    "database_url",
    "day",
    "home",
    "integer",
    "networks",
    "seconds",
    "select_settings",
    "server_broker_url",
    "servers_file",
    "side",
    "smtp_url",
    "state_url",
    "text",
]

REPOSITORY = Path(__file__).resolve().parent.parent
Side = Literal["agent", "server"]
# Commands of manage.py that belong beside what is measured; all others need the store.
AGENT_COMMANDS = frozenset({"poll", "outbox", "listen", "send_sample", "send_notification", "validate_definitions"})


class BadSetting(Exception):
    """An environment variable that cannot be used; the text names it, its value and what was expected."""


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "") or default


def integer(name: str, default: int | None, *, minimum: int = 1) -> int | None:
    """A whole number of at least ``minimum``; the default when unset or empty. Raises BadSetting."""
    raw = text(name)
    if not raw:
        return default
    try:
        value = int(raw)
    except ValueError:
        value = minimum - 1
    if value < minimum:
        raise BadSetting(f"{name}={raw!r}: expected a whole number of at least {minimum}")
    return value


def seconds(name: str, default: timedelta, *, most: timedelta) -> timedelta:
    """A whole number of seconds; the default when unset or empty. Raises BadSetting."""
    raw = text(name)
    if not raw:
        return default
    if not (raw.isascii() and raw.isdigit() and len(raw) < 12 and timedelta(seconds=int(raw)) <= most):
        raise BadSetting(f"{name}={raw!r}: expected a whole number of seconds, at most {most.total_seconds():.0f}")
    return timedelta(seconds=int(raw))


def networks(name: str) -> list[IPv4Network | IPv6Network]:
    """Networks, with commas between them; none when unset or empty. Raises BadSetting."""
    found = []
    for part in filter(None, (part.strip() for part in text(name).split(","))):
        try:
            found.append(ip_network(part))
        except ValueError as error:
            raise BadSetting(
                f"{name}: {part!r}: expected networks such as 10.20.0.0/16 or fd00:1::/48 ({error})"
            ) from error
    return found


def smtp_url(name: str) -> str:
    """A mail relay's URL, "" when unset. Raises BadSetting, without the password."""
    raw = text(name)
    parts = urlsplit(raw)
    if raw and not (parts.scheme in ("smtp", "smtps") and parts.hostname):
        raise BadSetting(f"{name}={parts.scheme}://…: expected smtp://USER:PASSWORD@HOST:PORT or smtps://…")
    return raw


def day(name: str, default: date, *, earliest: date) -> datetime:
    """When a day begins, in UTC; that of the default when unset or empty. Raises BadSetting."""
    raw = text(name)
    try:
        chosen = date.fromisoformat(raw) if raw else default
    except ValueError:
        chosen = date.min
    if chosen < earliest:
        raise BadSetting(f"{name}={raw!r}: expected a day such as {default}, not before {earliest}")
    return datetime(chosen.year, chosen.month, chosen.day, tzinfo=UTC)


def home() -> Path:
    """Where all data of this machine's Celometer lies."""
    return Path(text("CELOMETER_HOME", str(REPOSITORY / "var"))).expanduser().resolve()


def node() -> str:
    """This node's name: the agent that signs, and the host resource that is metered."""
    return text("CELOMETER_NODE", socket.gethostname())


def side() -> Side:
    """Which side of the trust line this process stands on. Raises BadSetting for anything but agent or server."""
    chosen = text("CELOMETER_SETTINGS", "server")
    if chosen == "agent":
        return "agent"
    if chosen == "server":
        return "server"
    raise BadSetting(f"CELOMETER_SETTINGS={chosen!r}: expected agent or server")


def select_settings(command: str = "") -> None:
    """Point Django at the settings of this side; a manage.py command of the agents' chooses theirs by itself."""
    if command in AGENT_COMMANDS and not text("CELOMETER_SETTINGS"):
        os.environ["CELOMETER_SETTINGS"] = "agent"
    os.environ["DJANGO_SETTINGS_MODULE"] = f"config.settings.{side()}"


def servers_file() -> Path:
    return home() / "run" / "servers.json"


def _embedded(key: str) -> str:
    try:
        addresses = json.loads(servers_file().read_text())
    except (OSError, ValueError):
        return ""
    return str(addresses.get(key, ""))


def database_url() -> str:
    """The store's URL, or "" when none is given and nothing embedded runs."""
    return text("CELOMETER_DATABASE_URL") or _embedded("database_url")


def broker_url() -> str:
    """The broker that agents and collectors share. Without one: an address that refuses at once, so that errors are clear."""
    return text("CELOMETER_BROKER_URL") or _embedded("broker_url") or "redis://127.0.0.1:1/0"


def server_broker_url() -> str:
    """The broker of the server's own roles, which agents do not know; the shared one unless set."""
    return text("CELOMETER_SERVER_BROKER_URL") or broker_url()


def state_url() -> str:
    """Where transformers keep their state: a Redis, the broker if it is one; "" where none is given."""
    return text("CELOMETER_STATE_URL") or (broker_url() if broker_url().startswith("redis") else "")
