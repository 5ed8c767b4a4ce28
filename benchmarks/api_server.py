"""The API in a gunicorn of its own, as in production, and clients that keep their connection."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO

from django.core.management import call_command

__all__ = ["ApiClient", "ApiServer", "serve"]

_START_SECONDS = 30.0


class ApiClient:
    """An operator's connection. Raises AssertionError for an answer that is none."""

    def __init__(self, port: int, token: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._headers = {"X-Auth-Token": token, "Content-Type": "application/json"}

    def get(self, target: str) -> bytes:
        return self._ask("GET", target, None, expected=200)

    def post(self, target: str, body: bytes) -> bytes:
        return self._ask("POST", target, body, expected=201)

    def _ask(self, method: str, target: str, body: bytes | None, *, expected: int) -> bytes:
        self._connection.request(method, target, body, self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != expected:
            raise AssertionError(f"{method} {target}: {answer.status} {content[:300]!r}")
        return content


@dataclass(frozen=True)
class ApiServer:
    """A running API."""

    port: int
    token: str

    def connect(self) -> ApiClient:
        return ApiClient(self.port, self.token)


@contextmanager
def serve(*, workers: int = 1, threads: int = 1) -> Iterator[ApiServer]:
    """Within, the API answers from so many processes of so many threads."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "config.wsgi", "--bind", f"127.0.0.1:{port}", "--preload"]
    command += ["--workers", str(workers), "--worker-class", "gthread", "--threads", str(threads)]
    command += ["--keep-alive", "600", "--no-control-socket", "--log-level", "error"]
    environment = {**os.environ, "CELOMETER_SETTINGS": "server", "CELOMETER_LOG_LEVEL": "ERROR"}
    # What is measured is the server, not the bound on its callers.
    environment["CELOMETER_API_REQUESTS_PER_MINUTE"] = "1000000"
    process = subprocess.Popen(command, env=environment)
    try:
        _await_port(port)
        token = StringIO()
        call_command("token", "bench", operator=True, stdout=token)
        yield ApiServer(port, token.getvalue().strip())
    finally:
        process.terminate()
        process.wait(30)


def _await_port(port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
