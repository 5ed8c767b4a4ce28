"""A real HTTP server for tests: it keeps what it was posted, and answers as it is told."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


class Posted(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class WebServer:
    """Listens on 127.0.0.1 (or ``host``) until it is closed. ``answers`` are given in turn, then 200 for ever.

    An answer is a status, (status, headers), (status, headers, body), or a function that does with the handler what it likes.
    """

    def __init__(self, *answers, port: int = 0, host: str = "127.0.0.1", context: ssl.SSLContext | None = None) -> None:
        self.posted: list[Posted] = []
        self._answers = list(answers)

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(handler):
                self._answer(handler)

            def log_message(handler, *arguments):
                pass

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def handle_error(self, request, client_address):
                pass

        self._server = Server((host, port), Handler)
        if context:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["content-length"]))
        posted = Posted(handler.path, {name.lower(): value for name, value in handler.headers.items()}, body)
        answer = self._answers.pop(0) if self._answers else 200
        if isinstance(answer, Callable):
            answer(handler)
            return
        self.posted.append(posted)
        status, headers, content = (*(answer if isinstance(answer, tuple) else (answer,)), {}, b"")[:3]
        handler.send_response(status)
        for name, value in ({"content-length": str(len(content))} | headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    """Read what was posted, and close without an answer."""
    handler.close_connection = True


class Certificate(NamedTuple):
    path: Path
    key_path: Path


def make_certificate(directory: Path, name: str) -> Certificate:
    """A self-signed certificate for 127.0.0.1 and localhost, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    made = Certificate(directory / f"{name}.pem", directory / f"{name}.key")
    made.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    made.key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made
