from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from alarms.notifiers import http
from alarms.notifiers.attempts import attempt
from alarms.notifiers.contract import Message, Outcome
from tests.agents.pipeline.publishers.web_server import WebServer, hang_up, make_certificate

pytestmark = pytest.mark.usefixtures("local_allowed")
HEADERS = {"webhook-id": "msg_1", "x-openstack-request-id": "req-1"}


def post(url: str, *, timeout_seconds: float = 5.0) -> Outcome:
    return attempt(Message(url, b'{"current": "alarm"}', HEADERS), timeout_seconds=timeout_seconds)


def url_of(server: WebServer, path: str = "/hook", host: str = "127.0.0.1", scheme: str = "http") -> str:
    return f"{scheme}://{host}:{server.port}{path}"


def test_a_message_is_posted_as_it_is(serve) -> None:
    server = serve()
    outcome = post(url_of(server, "/hook?a=1"))
    assert (outcome.kind, outcome.status, outcome.text) == ("delivered", 200, "answered 200 OK")
    assert outcome.duration_ms is not None
    (posted,) = server.posted
    assert (posted.path, posted.body) == ("/hook?a=1", b'{"current": "alarm"}')
    assert posted.headers == HEADERS | {
        "host": f"127.0.0.1:{server.port}",
        "content-type": "application/json",
        "content-length": "20",
        "user-agent": "celometer",
        "accept-encoding": "identity",
        "connection": "close",
    }


def test_who_writes_attempts_cannot_write_http(serve) -> None:
    server = serve()
    foreign = {"host": "inside", "content-length": "0", "transfer-encoding": "chunked", "authorization": "Bearer x"}
    message = Message(url_of(server), b"{}", HEADERS | foreign)
    assert attempt(message, timeout_seconds=5).kind == "delivered"
    assert server.posted[0].headers["host"] == f"127.0.0.1:{server.port}"
    assert not {"authorization", "transfer-encoding"} & server.posted[0].headers.keys()
    for value in ("a\r\nx: 1", "a\nx: 1", "ż"):
        outcome = attempt(message._replace(headers={"webhook-id": value}), timeout_seconds=5)
        assert outcome.kind == "failed"
    assert len(server.posted) == 1


@pytest.mark.parametrize(
    ("status", "kind", "text"),
    [
        (200, "delivered", "answered 200 OK"),
        (204, "delivered", "answered 204 No Content"),
        (299, "delivered", "answered 299"),
        (400, "failed", "answered 400 Bad Request"),
        (404, "failed", "answered 404 Not Found"),
        (410, "gone", "answered 410 Gone: it is told nothing more"),
        (500, "failed", "answered 500 Internal Server Error"),
        (999, "failed", "answered 999"),
    ],
)
def test_an_answer_means_what_its_status_says(serve, status: int, kind: str, text: str) -> None:
    assert post(url_of(serve(status)))[:3] == (kind, text, status)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        ("in an hour", 3600),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_retry_after_is_read(serve, value: str, seconds: float | None) -> None:
    if value == "in an hour":
        value = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    outcome = post(url_of(serve((429, {"retry-after": value}))))
    assert outcome.retry_after_seconds == (seconds and pytest.approx(seconds, abs=60))


def test_a_retry_after_beyond_all_bounds_is_bounded(serve) -> None:
    outcome = post(url_of(serve((503, {"retry-after": "9" * 400}))))
    assert outcome.retry_after_seconds <= 24 * 3600


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(serve, status: int) -> None:
    inside = serve()
    server = serve((status, {"location": url_of(inside, "/secret")}))
    outcome = post(url_of(server))
    assert (outcome.kind, outcome.status) == ("failed", status)
    assert "redirects are not followed" in outcome.text
    assert inside.posted == []


def test_proxies_of_the_environment_are_not_used(serve, monkeypatch) -> None:
    proxy, server = serve(), serve()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, url_of(proxy, ""))
    assert post(url_of(server)).kind == "delivered"
    assert proxy.posted == []


class Peer:
    """A receiver that does what it likes with each connection; the request is not read."""

    def __init__(self, behave: Callable[[socket.socket], None]) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.ended = threading.Event()
        self._behave = behave
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            try:
                self._behave(connection)
            except OSError:
                pass
        self.ended.set()
        self._listener.close()


def drip(*before: bytes, drop: bytes = b"x") -> Callable[[socket.socket], None]:
    def behave(connection: socket.socket) -> None:
        for piece in before:
            connection.sendall(piece)
        for _ in range(600):
            connection.sendall(drop)
            time.sleep(0.05)

    return behave


def hang(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize(
    "behave",
    [
        hang,
        drip(),
        drip(b"HTTP/1.1 200 OK\r\n", drop=b"x-drop: 1\r\n"),
        drip(drop=b"HTTP/1.1 100 Continue\r\n\r\n"),
        # As a TLS record, which grows and grows.
        drip(b"\x16\x03\x03\x40\x00"),
    ],
)
def test_nothing_that_a_receiver_does_takes_longer_than_it_may(behave, scheme: str) -> None:
    peer = Peer(behave)
    begun = time.monotonic()
    outcome = post(f"{scheme}://127.0.0.1:{peer.port}/", timeout_seconds=0.5)
    # Not a measure of speed: without the bound each of them takes half a minute or for ever.
    assert time.monotonic() - begun < 10
    assert outcome.kind == "failed"
    assert peer.ended.wait(10), "the connection is closed"


@pytest.mark.parametrize(
    "behave",
    [
        drip(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", drop=b"1\r\nx\r\n"),
        drip(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", drop=b"f" * 100),
    ],
)
def test_an_answer_that_never_ends_is_an_answer_and_is_not_waited_for(behave) -> None:
    peer = Peer(behave)
    begun = time.monotonic()
    assert post(f"http://127.0.0.1:{peer.port}/", timeout_seconds=0.5).kind == "delivered"
    assert time.monotonic() - begun < 10
    assert peer.ended.wait(10), "the connection is closed"


def test_no_more_of_an_answer_is_read_than_a_little() -> None:
    def endless(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n")
        for _ in range(10_000):
            connection.sendall(b"x" * 65536)

    peer = Peer(endless)
    assert post(f"http://127.0.0.1:{peer.port}/").kind == "delivered"
    assert peer.ended.wait(10)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"\x00" * 1000,
        b"HTTP/1.1 20x OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 1000 + b"\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
    ],
)
def test_garbage_is_no_answer(answer: bytes) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    outcome = post(f"http://127.0.0.1:{Peer(behave).port}/")
    assert (outcome.kind, outcome.status) == ("failed", None)


def test_a_status_counts_though_the_connection_ends_after_it() -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf of")

    assert post(f"http://127.0.0.1:{Peer(behave).port}/").kind == "delivered"


def test_a_receiver_that_hangs_up_or_refuses_is_told_so(serve) -> None:
    outcome = post(url_of(serve(hang_up)))
    assert (outcome.kind, outcome.status) == ("failed", None)
    assert "ended before an answer" in outcome.text
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert post(f"http://127.0.0.1:{port}/").text == "it refuses connections"


def test_the_address_that_was_checked_is_the_one_that_is_called(serve, names, settings) -> None:
    from ipaddress import ip_network

    settings.CELOMETER_WEBHOOK_ALLOW = [ip_network("127.0.0.2/32")]
    outside, inside = serve(host="127.0.0.2"), None
    inside = serve(host="127.0.0.1", port=outside.port)
    # First it is where it may be, then (as soon as it is asked again) where it may not.
    names["rebinding.example"] = [["127.0.0.2"], ["127.0.0.1"]]
    assert post(url_of(outside, host="rebinding.example")).kind == "delivered"
    assert names.asked == ["rebinding.example"], "asked once"
    assert (len(outside.posted), inside.posted) == (1, [])
    assert outside.posted[0].headers["host"] == f"rebinding.example:{outside.port}"
    assert post(url_of(outside, host="rebinding.example")).text == "not called: its address is not a public one"
    assert inside.posted == []


@pytest.mark.usefixtures("nothing_allowed")
@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "localhost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"]
)
def test_this_machine_is_not_called(serve, host: str) -> None:
    server = serve()
    outcome = post(url_of(server, host=host))
    assert (outcome.kind, outcome.status) == ("failed", None)
    assert server.posted == []


@pytest.mark.usefixtures("nothing_allowed")
@pytest.mark.parametrize("host", ["2130706433", "0177.0.0.1", "0x7f.1", "127.1", "good.example@127.0.0.1", "①②⑦.0.0.1"])
def test_odd_hosts_are_not_called(serve, host: str) -> None:
    server = serve()
    assert post(url_of(server, host=host)).kind == "impossible"
    assert server.posted == []


def test_an_address_that_does_not_answer_leaves_time_for_the_next(serve, names) -> None:
    server = serve(host="127.0.0.2")
    names["two.example"] = [["127.0.0.1", "127.0.0.2"]]
    assert post(url_of(server, host="two.example")).kind == "delivered"


@pytest.fixture
def tls_server(serve, tmp_path):
    http._tls.cache_clear()
    certificate = make_certificate(tmp_path, "receiver")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.path, certificate.key_path)
    seen = []
    context.sni_callback = lambda connection, name, _: seen.append(name)
    server = serve(context=context)
    server.certificate, server.names = certificate, seen
    yield server
    http._tls.cache_clear()


def test_tls_is_verified_by_the_name_of_the_url(tls_server, monkeypatch, names) -> None:
    outcome = post(url_of(tls_server, host="localhost", scheme="https"))
    assert (outcome.kind, outcome.text) == ("failed", "TLS: its certificate was not accepted: self-signed certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_server.certificate.path))
    http._tls.cache_clear()
    names["other.example"] = [["127.0.0.1"]]
    outcome = post(url_of(tls_server, host="other.example", scheme="https"))
    assert outcome.text.startswith("TLS: its certificate was not accepted: Hostname mismatch")
    assert tls_server.posted == []
    tls_server.names.clear()
    assert post(url_of(tls_server, host="localhost.", scheme="https")).kind == "delivered"
    assert tls_server.names == ["localhost"]
    assert tls_server.posted[0].headers["host"] == f"localhost:{tls_server.port}"


@pytest.mark.parametrize("argument", ["aodh-alarm-ssl-verify=0", "ceilometer-alarm-ssl-verify=0"])
def test_a_tenant_cannot_turn_verification_off(tls_server, argument: str) -> None:
    outcome = post(url_of(tls_server, f"/?{argument}", host="localhost", scheme="https"))
    assert "certificate was not accepted" in outcome.text
    assert tls_server.posted == []


def test_a_receiver_that_speaks_no_tls_is_told_so(serve) -> None:
    assert post(url_of(serve(), scheme="https")).text == "TLS could not be agreed on"
