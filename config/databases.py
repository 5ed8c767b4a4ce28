"""A database URL as Django's settings want it."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .env import BadSetting

__all__ = ["parse_database_url"]


def parse_database_url(url: str) -> dict[str, Any]:
    """Read ``postgresql://user:password@host:port/name?option=value``; a socket directory stands in ``?host=/dir``.

    Raises BadSetting, without the password, for another scheme or a missing name.
    """
    parts = urlsplit(url)
    name = unquote(parts.path.lstrip("/"))
    if parts.scheme not in {"postgresql", "postgres"} or not name:
        shown = f"{parts.scheme}://…/{name}"
        raise BadSetting(f"CELOMETER_DATABASE_URL={shown!r}: expected postgresql://USER:PASSWORD@HOST:PORT/NAME")
    options = dict(parse_qsl(parts.query))
    host = options.pop("host", unquote(parts.hostname or ""))
    port = options.pop("port", str(parts.port or ""))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        "OPTIONS": options,
        "CONN_MAX_AGE": None,
        "CONN_HEALTH_CHECKS": True,
    }
