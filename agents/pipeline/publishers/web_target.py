"""Where http publishers post to: one URL, its TLS and login, and what its answers mean."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import NamedTuple

import urllib3
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    InvalidHeader,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ReadTimeoutError,
    SSLError,
)

from .address import Address
from .buffer import Entry, Outcome

__all__ = ["Answer", "WebTarget"]

# What is read of an answer: nothing in it is worth more.
_MAX_ANSWER_BYTES = 64 * 1024
_COME_AGAIN = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}


class Answer(NamedTuple):
    """``error`` is "" for a good answer; ``is_final``: the same would be answered again; ``pause_seconds``: not to be asked before."""

    error: str = ""
    is_final: bool = False
    pause_seconds: float = 0.0
    body: bytes = b""

    def outcome(self, batch: Sequence[Entry]) -> Outcome:
        """What that means for all that was posted."""
        if not self.error:
            return Outcome()
        if self.is_final:
            return Outcome(refused=len(batch), error=self.error)
        return Outcome(left=batch, error=self.error, pause_seconds=self.pause_seconds)


class WebTarget:
    """Posts to one URL over one connection that is kept. Follows no redirects, uses no proxies, reads no login but the URL's."""

    def __init__(self, address: Address, *, tls: bool, default_port: int, default_path: str = "/") -> None:
        port = address.port or default_port
        if tls:
            self._pool: urllib3.HTTPConnectionPool = urllib3.HTTPSConnectionPool(
                address.host, port, ssl_context=_tls_context(address), retries=False
            )
        else:
            self._pool = urllib3.HTTPConnectionPool(address.host, port, retries=False)
        self._target = (address.path if address.path.strip("/") else default_path) + (
            address.rest and f"?{address.rest}"
        )
        self._headers = {"user-agent": "celometer", "accept-encoding": "identity"}
        if address.user or address.password:
            login = base64.b64encode(f"{address.user}:{address.password}".encode()).decode()
            self._headers["authorization"] = f"Basic {login}"

    def post(self, body: bytes, headers: dict[str, str], *, timeout_seconds: float) -> Answer:
        """Post once. Every failure is an answer; none of the texts has a piece of the URL but its host."""
        try:
            response = self._pool.urlopen(
                "POST",
                self._target,
                body=body,
                headers=self._headers | headers,
                redirect=False,
                timeout=urllib3.Timeout(total=timeout_seconds),
                preload_content=False,
                decode_content=False,
            )
            try:
                answer = response.read(_MAX_ANSWER_BYTES)
            finally:
                response.release_conn() if response.length_remaining == 0 else response.close()
        except (HTTPError, OSError) as error:
            return Answer(error=_failure(error))
        return _judge(response.status, response.headers.get("retry-after", ""), answer)

    def close(self) -> None:
        self._pool.close()


def _judge(status: int, retry_after: str, body: bytes) -> Answer:
    if 200 <= status < 300:
        return Answer(body=body)
    is_known = status in HTTPStatus.__members__.values()
    error = f"it answered {status} {HTTPStatus(status).phrase}" if is_known else f"it answered {status}"
    if status >= 500 or status in _COME_AGAIN:
        return Answer(error, pause_seconds=_read_pause(retry_after))
    return Answer(f"{error}; redirects are not followed" if 300 <= status < 400 else error, is_final=True)


def _read_pause(retry_after: str) -> float:
    """Seconds, or a date; what is neither asks for nothing."""
    try:
        return max(0.0, urllib3.Retry().parse_retry_after(retry_after))
    except (InvalidHeader, ValueError, OverflowError):
        return 0.0


def _failure(error: Exception) -> str:
    if isinstance(error, NameResolutionError):
        return "the name of its host cannot be resolved"
    if isinstance(error, NewConnectionError) and isinstance(error.__cause__, OSError):
        return error.__cause__.strerror or "no connection"
    for kind, text in (
        (ConnectTimeoutError, "no connection in time"),
        (NewConnectionError, "no connection"),
        (ReadTimeoutError, "no answer in time"),
        (ProtocolError, "the connection ended before an answer came"),
    ):
        if isinstance(error, kind):
            return text
    if isinstance(error, SSLError):
        return f"TLS: {error}"
    return type(error).__name__


def _tls_context(address: Address) -> ssl.SSLContext:
    """Raises OSError with the file's name for certificates and keys that cannot be read."""
    verify, certificate, key = (address.values[name] for name in ("verify_ssl", "clientcert", "clientkey"))
    context = ssl.create_default_context()
    name = ""
    try:
        if isinstance(verify, str):
            name = verify
            is_directory = Path(name).is_dir()
            context = ssl.create_default_context(
                cafile=None if is_directory else name, capath=name if is_directory else None
            )
        elif not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if certificate:
            name = certificate
            context.load_cert_chain(certificate, key)
    except OSError as error:
        # Of two files, the library does not say which one it could not use.
        raise OSError(error.errno, error.strerror or str(error), name) from error
    return context
