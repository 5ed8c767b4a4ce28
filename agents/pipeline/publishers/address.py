"""A publisher's URL taken apart: what it may say for each scheme, and what is wrong with it.

Of a parameter that stands twice the last counts. One that no scheme knows is a mistake, except for http and https, whose target keeps it.
Nothing here looks at files or the network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import SplitResult, unquote, unquote_plus, urlsplit

from .plugins import plugins

__all__ = ["Address", "BadAddress", "masked", "parse_address", "shown_url", "url_problem"]


class BadAddress(ValueError):
    """The URL names no place to publish to; the text says why, without its credentials."""


@dataclass(frozen=True)
class Address:
    """One URL, understood. ``values`` has every parameter of the scheme; ``rest`` is the query that is not ours, as it was written.

    ``shown`` is the URL for people: without credentials, and without the values of parameters that are not ours.
    """

    scheme: str
    host: str
    port: int
    path: str
    user: str
    password: str
    values: Mapping[str, Any]
    rest: str
    shown: str

    def host_and_port(self) -> str:
        """As a URL writes it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Parameter(NamedTuple):
    """``read`` makes the value of its text, or raises ValueError with what was expected."""

    read: Callable[[str], Any]
    default: Any = None


@dataclass(frozen=True)
class Scheme:
    """What a URL of the scheme may say. ``check`` looks at the whole, "" is good."""

    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    host: Literal["required", "none"] = "required"
    port: int = 0
    takes_events: bool = True
    keeps_other_parameters: bool = False
    check: Callable[[Address], str] = lambda address: ""


def url_problem(url: str, *, for_events: bool = False) -> str:
    """What is wrong with a publisher's URL; "" when it is good. With ``for_events`` a scheme that takes samples only is a mistake, too."""
    try:
        address = parse_address(url)
    except BadAddress as problem:
        return str(problem)
    scheme = _SCHEMES.get(address.scheme)
    if for_events and scheme and not scheme.takes_events:
        return f"publisher {address.shown!r}: {address.scheme}:// takes samples only, no events"
    return ""


def parse_address(url: str) -> Address:
    """The URL understood; a name without ``://`` is a scheme. Raises BadAddress."""
    url = url if "://" in url else f"{url}://"
    shown = shown_url(url)
    name, _, after = url.partition("://")
    scheme = _SCHEMES.get(name)
    if not scheme:
        return _foreign(name, shown)
    if not url.isprintable() or " " in url:
        raise BadAddress(f"publisher {shown!r}: a blank or a control character; write it as %20 and the like")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        # The error's own text may be a piece of a password that has a bare slash in it.
        raise BadAddress(f"publisher {shown!r}: host and port cannot be read") from None
    if parts.fragment or "#" in after:
        raise BadAddress(f"publisher {shown!r}: a '#' ends what is sent; write it as %23")
    if scheme.host == "required" and "@" in after[len(parts.netloc) :]:
        # A password with a bare slash or question mark would make its first half the host that it is sent to.
        raise BadAddress(f"publisher {shown!r}: an '@' after the host; write @ / ? # of a password as %40 %2F %3F %23")
    _check_host(scheme, parts, shown)
    values, rest = _read_query(scheme, parts.query, shown)
    address = Address(
        scheme=name,
        host=parts.hostname or "",
        port=scheme.port if port is None else port,
        path=parts.path,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        values=values,
        rest=rest,
        shown=shown,
    )
    problem = scheme.check(address)
    if problem:
        raise BadAddress(f"publisher {shown!r}: {problem}")
    return address


def shown_url(url: str) -> str:
    """The URL as logs and people may see it: no user, no password, no value of a parameter that is not ours."""
    name, _, after = url.partition("://")
    if "@" in after and not url.startswith("file:///"):
        # Up to the last one: a password that was not encoded may hold slashes, question marks and whatever else.
        after = f"***@{after[after.rindex('@') + 1 :]}"
    after, hash_sign, _ = after.partition("#")
    before_query, question, query = after.partition("?")
    known = _SCHEMES[name].parameters if name in _SCHEMES else {}
    pairs = [pair if _name_of(pair) in known else _hidden(pair) for pair in query.split("&")] if query else []
    return f"{name}://{before_query}{question}{'&'.join(pairs)}{hash_sign and '#***'}"


def masked(text: str, url: str) -> str:
    """A text that others wrote about the URL, without what only its owner may know."""
    text = text.replace(url, shown_url(url))
    _, _, after = url.partition("://")
    if "@" in after:
        user, _, password = after[: after.rindex("@")].partition(":")
        for secret in sorted({user, password, unquote(user), unquote(password)} - {""}, key=len, reverse=True):
            text = text.replace(secret, "***")
    return text


def _hidden(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}=***" if equals else "***"


def _name_of(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _foreign(name: str, shown: str) -> Address:
    if name in _RETIRED:
        raise BadAddress(f"publisher {shown!r}: {name}:// is not there any more; {_RETIRED[name]}")
    if name not in plugins():
        known = ", ".join(sorted({*_SCHEMES, *plugins()}))
        raise BadAddress(f"publisher {shown!r}: unknown scheme {name!r}; expected one of {known}")
    # What a plugin's URL says is the plugin's own matter.
    return Address(name, "", 0, "", "", "", {}, "", shown)


def _check_host(scheme: Scheme, parts: SplitResult, shown: str) -> None:
    if scheme.host == "required" and not parts.hostname:
        raise BadAddress(f"publisher {shown!r}: no host; expected {parts.scheme}://HOST…")
    if scheme.host == "none" and parts.netloc:
        hint = f"; did you mean {parts.scheme}:///…, with three slashes?" if parts.scheme == "file" else ""
        raise BadAddress(f"publisher {shown!r}: {parts.scheme}:// takes no host{hint}")


def _read_query(scheme: Scheme, query: str, shown: str) -> tuple[dict[str, Any], str]:
    values = {name: parameter.default for name, parameter in scheme.parameters.items()}
    rest, problems = [], []
    for pair in filter(None, query.split("&")):
        name, text = _name_of(pair), unquote_plus(pair.partition("=")[2])
        parameter = scheme.parameters.get(name)
        if parameter:
            try:
                values[name] = parameter.read(text)
            except ValueError as error:
                problems.append(f"{name}={text!r}: expected {error}")
        elif scheme.keeps_other_parameters:
            rest.append(pair)
        else:
            known = ", ".join(scheme.parameters) or "none"
            problems.append(f"unknown parameter {name!r}; expected one of: {known}")
    if problems:
        raise BadAddress(f"publisher {shown!r}: {'; '.join(problems)}")
    return values, "&".join(rest)


def _read_seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 3600:
        raise ValueError("seconds above 0, at most 3600")
    return value


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text, re.ASCII) or int(text) < least:
            raise ValueError(f"a whole number of at least {least}")
        return int(text)

    return read


_FLAGS = dict.fromkeys(("", "1", "t", "true", "on", "y", "yes"), True) | dict.fromkeys(
    ("0", "f", "false", "off", "n", "no"), False
)


def _read_flag(text: str) -> bool:
    if text.lower() not in _FLAGS:
        raise ValueError("true or false")
    return _FLAGS[text.lower()]


def _read_text(text: str) -> str:
    if not text:
        raise ValueError("some text")
    return text


def _read_verify(text: str) -> bool | str:
    return _FLAGS.get(text.lower(), text)


def _read_json(text: str) -> bool:
    if not _read_flag(text):
        raise ValueError("true: lines are always JSON")
    return True


def _read_policy(text: str) -> str:
    if text not in ("default", "queue", "drop"):
        raise ValueError("default, queue or drop")
    return text


def _check_file(address: Address) -> str:
    if not address.path.startswith("/") or address.path.endswith("/"):
        return "expected the path of a file, file:///var/log/samples"
    if (address.values["max_bytes"] is None) != (address.values["backup_count"] is None):
        return "max_bytes and backup_count go together: without one of them nothing would be rotated"
    return ""


def _check_web(address: Address) -> str:
    if address.values["clientkey"] and not address.values["clientcert"]:
        return "clientkey without clientcert"
    return ""


def _check_scrape(address: Address) -> str:
    if address.path.strip("/") not in ("", "metrics"):
        return (
            "prometheus:// is an endpoint that Prometheus scrapes, not a Pushgateway to push to; "
            "expected the address to listen on, prometheus://0.0.0.0:9464"
        )
    return _no_user(address)


def _check_bare(address: Address) -> str:
    if address.path.strip("/"):
        return f"unexpected path {address.path!r}; expected {address.scheme}://HOST:PORT"
    return _no_user(address)


def _no_user(address: Address) -> str:
    return f"{address.scheme}:// takes no user and password" if address.user or address.password else ""


_QUEUE = {"max_queue_length": Parameter(_whole(1), 100_000)}
_TRIES = {"timeout": Parameter(_read_seconds, 5.0), "max_retries": Parameter(_whole(0))} | _QUEUE
_TLS = {
    "verify_ssl": Parameter(_read_verify, True),
    "clientcert": Parameter(_read_text),
    "clientkey": Parameter(_read_text),
}
_HTTP = Scheme(
    _TRIES
    | _TLS
    | {
        "batch": Parameter(_read_flag, True),
        "raw_only": Parameter(_read_flag, False),
        "hmac_key_file": Parameter(_read_text),
    },
    keeps_other_parameters=True,
    check=_check_web,
)
_OTLP = _TRIES | _TLS | {"batch": Parameter(_read_flag, True)}
_SCHEMES = {
    "collector": Scheme(host="none", check=lambda address: "expected collector://" if address.path else ""),
    "http": _HTTP,
    "https": _HTTP,
    "udp": Scheme(_QUEUE, port=4952, takes_events=False, check=_check_bare),
    "tcp": Scheme(_TRIES, port=4952, takes_events=False, check=_check_bare),
    "file": Scheme(
        {
            "max_bytes": Parameter(_whole(1)),
            "backup_count": Parameter(_whole(1)),
            "json": Parameter(_read_json, True),
        }
        | _QUEUE,
        host="none",
        check=_check_file,
    ),
    "prometheus": Scheme(
        {"expire_minutes": Parameter(_whole(1), 10), "max_series": Parameter(_whole(1), 50_000)},
        port=9464,
        takes_events=False,
        check=_check_scrape,
    ),
    "opentelemetryhttp": Scheme(
        _OTLP | {"ssl": Parameter(_read_flag, False)}, port=4318, takes_events=False, check=_check_web
    ),
    "opentelemetryhttps": Scheme(_OTLP, port=4318, takes_events=False, check=_check_web),
    "kafka": Scheme(
        {
            "topic": Parameter(_read_text, "ceilometer"),
            "timeout": Parameter(_read_seconds, 5.0),
            "policy": Parameter(_read_policy, "default"),
            "max_retry": Parameter(_whole(0)),
        }
        | _QUEUE,
        port=9092,
        check=_check_bare,
    ),
}
_TO_STORE = "samples and events go to Celometer's own store with collector://"
_RETIRED = {
    "gnocchi": _TO_STORE,
    "panko": _TO_STORE,
    "database": _TO_STORE,
    "direct": _TO_STORE,
    "notifier": f"{_TO_STORE}; to feed other programs use kafka://, http:// or tcp://",
    "rpc": f"{_TO_STORE}; to feed other programs use kafka://, http:// or tcp://",
    "meter": _TO_STORE,
    "meter_publisher": _TO_STORE,
    "meter_publish": _TO_STORE,
    "monasca": "use http://, kafka:// or opentelemetryhttp://",
    "zaqar": "use http:// or kafka://",
    "file_alt": "use file://",
    "http_alt": "use http://",
    "https_alt": "use https://",
    "test": "it kept samples in memory for upstream's own tests; use file:// to look at what is published",
}
