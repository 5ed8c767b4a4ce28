"""``http://`` and ``https://``: one POST to an address that was checked, and nothing that the other side does takes longer than it may."""

from __future__ import annotations

import logging
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from http import HTTPStatus
from http.client import HTTPException
from typing import Any

import urllib3
from django.conf import settings
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, InvalidHeader

from .addresses import Address, AddressRefused, NoSuchName, resolve
from .contract import Message, Outcome
from .urls import BadUrl, Target, read_target

__all__ = ["HttpNotifier"]

logger = logging.getLogger(__name__)

# What is read of an answer, so that the other side can say it; nothing in it is looked at.
_MAX_ANSWER_BYTES = 64 * 1024
_MAX_ADDRESSES = 4
_REQUEST_ID = "x-openstack-request-id"


class HttpNotifier:
    """Follows no redirects, uses no proxies, always verifies TLS. Delivered means an answer of 200 to 299."""

    def notify(self, message: Message, *, timeout_seconds: float) -> Outcome:
        give_up_at = time.monotonic() + timeout_seconds
        try:
            target = read_target(message.url)
            addresses = resolve(
                target.host, target.port, allowed=settings.CELOMETER_WEBHOOK_ALLOW, timeout_seconds=timeout_seconds
            )
        except BadUrl as error:
            return Outcome("impossible", f"not called: {error}")
        except AddressRefused as error:
            # Not the whole URL: its path may be a secret.
            logger.warning("%s was not called: %s is not public", target.host, error.address)
            return Outcome("failed", f"not called: {error}")
        except NoSuchName as error:
            return Outcome("failed", str(error))
        with _deadline(give_up_at) as deadline:
            return _post(target, addresses[:_MAX_ADDRESSES], message, deadline)


class _Deadline:
    """Ends a connection when its time is over, whatever it is at: a timeout of a socket would begin anew with each byte."""

    def __init__(self, give_up_at: float) -> None:
        self._give_up_at = give_up_at
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self.is_over = False

    def remaining_seconds(self) -> float:
        return max(0.001, self._give_up_at - time.monotonic())

    def watch(self, connection: socket.socket) -> None:
        """The connection's own object is taken over by TLS: a second handle of the same connection ends it just as well."""
        with self._lock:
            self._drop()
            self._handle = connection.dup()

    def end(self) -> None:
        with self._lock:
            self.is_over = True
            if self._handle:
                try:
                    self._handle.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it has ended

    def release(self) -> None:
        with self._lock:
            self._drop()

    def _drop(self) -> None:
        if self._handle:
            self._handle.close()
            self._handle = None


@contextmanager
def _deadline(give_up_at: float) -> Iterator[_Deadline]:
    deadline = _Deadline(give_up_at)
    timer = threading.Timer(deadline.remaining_seconds(), deadline.end)
    timer.daemon = True
    timer.start()
    try:
        yield deadline
    finally:
        timer.cancel()
        deadline.release()


def _post(target: Target, addresses: Sequence[Address], message: Message, deadline: _Deadline) -> Outcome:
    connection = _connection(target, addresses, deadline)
    headers = {
        "host": _host_header(target),
        "content-type": "application/json",
        "user-agent": "celometer",
        "accept-encoding": "identity",
        "connection": "close",
    }
    try:
        connection.request(
            "POST",
            target.path,
            body=message.body,
            headers=headers | _passed_on(message.headers),
            preload_content=False,
            decode_content=False,
        )
        response = connection.getresponse()
        if deadline.is_over:
            # To the parser an ended connection is the end of the headers.
            return Outcome("failed", "no answer in time")
        # The status is the answer; what follows is read only to let the other side say it.
        with suppress(HTTPError, HTTPException, OSError, ValueError):
            response.read(_MAX_ANSWER_BYTES)
        return _judge(response.status, response.headers.get("retry-after", ""))
    except (HTTPError, HTTPException, OSError, ValueError) as error:
        return Outcome("failed", "no answer in time" if deadline.is_over else _failure(error))
    finally:
        connection.close()


def _connection(target: Target, addresses: Sequence[Address], deadline: _Deadline) -> HTTPConnection:
    """A connection to the host by its name, for TLS and for the Host header, that goes to these addresses and asks no resolver."""

    def connect() -> socket.socket:
        for number, address in enumerate(addresses):
            # One that does not answer leaves time for the others.
            share_seconds = deadline.remaining_seconds() / (len(addresses) - number)
            try:
                made = socket.create_connection((str(address), target.port), timeout=share_seconds)
            except OSError as error:
                failure = error
            else:
                deadline.watch(made)
                made.settimeout(deadline.remaining_seconds())
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return made
        raise failure

    options: dict[str, Any] = {"port": target.port, "timeout": deadline.remaining_seconds()}
    connection = (
        HTTPSConnection(target.host, ssl_context=_tls(), **options)
        if target.scheme == "https"
        else HTTPConnection(target.host, **options)
    )
    connection._new_conn = connect  # type: ignore[method-assign]
    return connection


@cache
def _tls() -> ssl.SSLContext:
    """Reading the system's certificates costs more than a request: once for each process."""
    return ssl.create_default_context()


def _passed_on(headers: Mapping[str, str]) -> dict[str, str]:
    """Whoever can write to the queue of attempts cannot speak HTTP through them."""
    return {name: value for name, value in headers.items() if name.startswith("webhook-") or name == _REQUEST_ID}


def _host_header(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == {"http": 80, "https": 443}[target.scheme] else f"{host}:{target.port}"


def _judge(status: int, retry_after: str) -> Outcome:
    known = status in HTTPStatus.__members__.values()
    text = f"answered {status} {HTTPStatus(status).phrase}" if known else f"answered {status}"
    if 200 <= status < 300:
        return Outcome("delivered", text, status)
    if status == HTTPStatus.GONE:
        return Outcome("gone", f"{text}: it is told nothing more", status)
    if 300 <= status < 400:
        text += "; redirects are not followed"
    return Outcome("failed", text, status, retry_after_seconds=_read_pause(retry_after))


def _read_pause(retry_after: str) -> float | None:
    """Seconds, or a date; what is neither asks for nothing."""
    try:
        return max(0.0, urllib3.Retry().parse_retry_after(retry_after)) if retry_after else None
    except (InvalidHeader, ValueError, OverflowError):
        return None


def _failure(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: its certificate was not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "TLS could not be agreed on"
    if isinstance(error, ConnectionRefusedError):
        return "it refuses connections"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "the connection ended before an answer came, or what came was no HTTP"
