"""``http://`` and ``https://``, against real servers that take, refuse, fail, hang and go away."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime

import pytest

from agents.pipeline.publishers.http import sign
from agents.pipeline.publishers.registry import Publishers, open_publisher

from .things import AT_TEXT, event, given, outgoing, wait_until
from .web_server import WebServer, hang_up, make_certificate


def ids(server):
    return [thing.get("id", thing.get("message_id")) for post in server.posted for thing in json.loads(post.body)]


def test_samples_and_events_are_posted_as_lists_under_the_names_of_ceilometer(serve, publish_to):
    server = serve()
    publisher = publish_to(f"http://127.0.0.1:{server.port}/in?timeout=9&key=a%20b&batch=true")
    publisher.publish_samples([outgoing(1, volume="9007199254740993.10", metadata={"a": [1]})])
    publisher.publish_events([event(1)])
    publisher.close(10)
    samples, events = server.posted
    assert (samples.path, samples.headers["content-type"]) == ("/in?key=a%20b", "application/json")
    assert b'"volume":9007199254740993.10,' in samples.body
    assert json.loads(samples.body, parse_float=Decimal) == [
        {
            "id": "id-1",
            "name": "cpu",
            "type": "gauge",
            "unit": "ns",
            "volume": Decimal("9007199254740993.10"),
            "user_id": "u1",
            "project_id": "p1",
            "resource_id": "vm-1",
            "timestamp": AT_TEXT,
            "resource_metadata": {"a": [1]},
            "source": "openstack",
        }
    ]
    assert b'"raw":{"payload": {"size": 1.50}}' in events.body
    assert json.loads(events.body)[0]["traits"][0] == {"name": "size", "type": "integer", "value": "1"}
    assert publisher.state() == (2, 0, 0, "")


def test_many_go_in_few_requests(serve, publish_to):
    server = serve()
    publisher = publish_to(f"http://127.0.0.1:{server.port}")
    publisher.publish_samples([outgoing(number) for number in range(2000)])
    publisher.close(20)
    assert ids(server) == [f"id-{number}" for number in range(2000)]
    assert len(server.posted) <= 5


def test_without_batch_each_is_posted_by_itself(serve, publish_to):
    server = serve()
    publisher = publish_to(f"http://127.0.0.1:{server.port}/?batch=false")
    publisher.publish_samples([outgoing(1), outgoing(2)])
    publisher.close(10)
    assert [json.loads(post.body)["id"] for post in server.posted] == ["id-1", "id-2"]


def test_raw_only_posts_the_payloads_of_events_and_leaves_out_events_without(serve, publish_to):
    server = serve()
    publisher = publish_to(f"http://127.0.0.1:{server.port}/?raw_only=true")
    publisher.publish_events([event(1), event(2, raw=b"{}"), event(3, raw=b'{"size":2.50}')])
    publisher.close(10)
    assert [post.body for post in server.posted] == [b'[{"size": 1.50},{"size":2.50}]']
    assert publisher.state()[:3] == (2, 0, 1)


@pytest.mark.parametrize("failure", [500, 502, 503, 429, 408, hang_up])
def test_what_a_server_could_not_take_is_sent_again_until_it_does(serve, publish_to, short_pauses, failure):
    server = serve(failure, failure, 200)
    publisher = publish_to(f"http://127.0.0.1:{server.port}")
    publisher.publish_samples([outgoing(1), outgoing(2)])
    wait_until(lambda: publisher.state() == (2, 0, 0, ""))
    assert ids(server)[-2:] == ["id-1", "id-2"]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "it answered 400 Bad Request"),
        (401, "it answered 401 Unauthorized"),
        (413, "it answered 413 Request Entity Too Large"),
        (302, "it answered 302 Found; redirects are not followed"),
        (499, "it answered 499"),
    ],
)
def test_what_a_server_refuses_is_dropped_and_counted(serve, publish_to, status, error):
    server = serve((status, {"location": "/elsewhere"}), 200)
    publisher = publish_to(f"http://127.0.0.1:{server.port}")
    publisher.publish_samples([outgoing(1), outgoing(2)])
    wait_until(lambda: publisher.state() == (0, 0, 2, error))
    publisher.publish_samples([outgoing(3)])
    wait_until(lambda: publisher.state() == (1, 0, 2, ""))
    assert len(server.posted) == 2


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after_is_honoured(serve, publish_to, short_pauses, form):
    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    server = serve((503, {"retry-after": "3600" if form == "seconds" else later}))
    publisher = publish_to(f"http://127.0.0.1:{server.port}")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state().error)
    # Not within the pauses of a hundredth of a second, which come to hundreds of tries in this time.
    threading.Event().wait(1)
    assert len(server.posted) == 1 and publisher.state().waiting == 1


def test_a_retry_after_that_is_nonsense_is_as_none(serve, publish_to, short_pauses):
    server = serve((503, {"retry-after": "soon"}), (503, {"retry-after": "-5"}), 200)
    publisher = publish_to(f"http://127.0.0.1:{server.port}")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state() == (1, 0, 0, ""))


def test_max_retries_gives_up(serve, publish_to, short_pauses):
    server = serve(500, 500, 500, 200)
    publisher = publish_to(f"http://127.0.0.1:{server.port}/?max_retries=2")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state()[:3] == (0, 0, 1))
    assert len(server.posted) == 3


def test_a_server_that_is_away_for_a_while_gets_everything_when_it_is_back(publish_to, closing, short_pauses):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    publisher = publish_to(f"http://127.0.0.1:{port}")
    for number in range(50):
        publisher.publish_samples([outgoing(number)])
    wait_until(lambda: publisher.state().error == "Connection refused")
    assert publisher.state()[:3] == (0, 50, 0)
    server = closing(WebServer(port=port))
    wait_until(lambda: publisher.state() == (50, 0, 0, ""))
    assert ids(server) == [f"id-{number}" for number in range(50)]


def test_a_name_that_nobody_has_is_a_failure_like_others(publish_to):
    publisher = publish_to("http://nobody.invalid/")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state().error == "the name of its host cannot be resolved")
    assert publisher.state()[:3] == (0, 1, 0)


def test_a_server_that_hangs_holds_up_nobody_else_and_closing_is_bounded(closing, serve, tmp_path):
    silent = closing(socket.create_server(("127.0.0.1", 0)))
    server = serve()
    publishers = Publishers()
    hanging = f"http://127.0.0.1:{silent.getsockname()[1]}/?timeout=1000"
    refusing = "http://127.0.0.1:1/"
    good = f"http://127.0.0.1:{server.port}"
    for number in range(10):
        publishers.send_samples({hanging: [outgoing(number)], refusing: [outgoing(number)], good: [outgoing(number)]})
        publishers.send_events({hanging: [event(number)], good: [event(number)]})
    wait_until(lambda: publishers.states()[good] == (20, 0, 0, ""))
    assert publishers.states()[hanging][:3] == (0, 20, 0)
    held = [place._publisher for place in publishers._places.values()]
    publishers.close(0.5)
    assert [publisher.state()[:3] for publisher in held] == [(0, 0, 20), (0, 0, 10), (20, 0, 0)]


def test_a_server_that_answers_too_late_is_asked_again(closing, publish_to, short_pauses):
    silent = closing(socket.create_server(("127.0.0.1", 0)))
    publisher = publish_to(f"http://127.0.0.1:{silent.getsockname()[1]}/?timeout=0.05&max_retries=1")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state() == (0, 0, 1, "no answer in time"))


def test_a_full_buffer_drops_the_oldest_and_every_one_is_accounted_for(publish_to, short_pauses, caplog):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    publisher = publish_to(f"http://127.0.0.1:{port}/?max_queue_length=10")
    for number in range(100):
        publisher.publish_samples([outgoing(number), outgoing(-number)])
        assert given(publisher) == 2 * (number + 1)
    wait_until(lambda: publisher.state()[:3] == (0, 10, 190))
    wait_until(lambda: "drops what it is given: its buffer is full" in caplog.text)
    server = WebServer(port=port)
    wait_until(lambda: publisher.state() == (10, 0, 190, ""))
    server.close()
    assert ids(server)[-1] == "id--99"
    assert caplog.text.count("drops what it is given") == 1


def test_an_endless_answer_is_not_read_to_its_end(serve, publish_to):
    def endless(handler):
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(b"x" * 65536)

    publisher = publish_to(f"http://127.0.0.1:{serve(endless).port}")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state() == (1, 0, 0, ""))


def test_the_login_of_the_url_goes_as_a_header(serve, publish_to):
    server = serve()
    publisher = publish_to(f"http://us%40er:p%3A%C3%A4w@127.0.0.1:{server.port}/")
    publisher.publish_samples([outgoing(1)])
    publisher.close(10)
    (post,) = server.posted
    assert base64.b64decode(post.headers["authorization"].removeprefix("Basic ")).decode() == "us@er:p:äw"


def test_no_error_or_log_holds_a_password(serve, closing, short_pauses, caplog):
    caplog.set_level("DEBUG", logger="agents")
    publishers = closing(Publishers(), 0.1)
    server = serve(500, 400, hang_up)
    urls = [
        f"http://user:secret@127.0.0.1:{server.port}/?token=secret",
        "http://user:secret@127.0.0.1:1/?token=secret&max_retries=1",
        "https://user:secret@nobody.invalid/",
        "http://user:secret@127.0.0.1:1/?hmac_key_file=/nowhere",
    ]
    for number in range(3):
        publishers.send_samples({url: [outgoing(number)] for url in urls})
    wait_until(lambda: all(sent or error for sent, _, _, error in publishers.states().values()))
    shown = f"{publishers.states()}{publishers.report()}"
    publishers.close(0.2)
    assert "secret" not in shown + caplog.text
    assert "/nowhere: No such file or directory" in shown


def test_ipv6(serve, publish_to):
    server = serve(host="::1")
    publisher = publish_to(f"http://[::1]:{server.port}/")
    publisher.publish_samples([outgoing(1)])
    publisher.close(10)
    assert server.posted[0].headers["host"] == f"[::1]:{server.port}"


@pytest.fixture
def tls(tmp_path, serve):
    """A server with a certificate that only we trust; with ``client``, one that wants ours."""

    def start(*answers, client=None):
        certificate = make_certificate(tmp_path, "server")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.path, certificate.key_path)
        if client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(client.path)
        return serve(*answers, context=context), certificate.path

    return start


def test_a_certificate_that_is_not_trusted_is_a_failure_and_nothing_is_sent(tls, publish_to):
    server, _ = tls()
    publisher = publish_to(f"https://user:secret@127.0.0.1:{server.port}/")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: "certificate verify failed" in publisher.state().error)
    assert server.posted == [] and publisher.state()[:3] == (0, 1, 0)


def test_a_certificate_is_checked_against_the_file_given(tls, publish_to):
    server, trusted = tls()
    publisher = publish_to(f"https://localhost:{server.port}/?verify_ssl={trusted}")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state() == (1, 0, 0, ""))


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
def test_verification_can_be_turned_off(tls, publish_to):
    server, _ = tls()
    publisher = publish_to(f"https://127.0.0.1:{server.port}/?verify_ssl=false")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state() == (1, 0, 0, ""))


def test_a_client_certificate_is_shown_to_a_server_that_wants_one(tls, publish_to, tmp_path):
    ours = make_certificate(tmp_path, "client")
    server, trusted = tls(client=ours)
    url = f"https://127.0.0.1:{server.port}/?verify_ssl={trusted}"
    without = publish_to(url)
    without.publish_samples([outgoing(1)])
    wait_until(lambda: without.state().error)
    publisher = publish_to(f"{url}&clientcert={ours.path}&clientkey={ours.key_path}")
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state() == (1, 0, 0, ""))
    assert len(server.posted) == 1


@pytest.mark.parametrize("parameter", ["verify_ssl", "clientcert", "hmac_key_file"])
def test_a_file_that_cannot_be_used_is_named(parameter, tmp_path):
    (tmp_path / "empty").write_text("")
    for name in ("missing", "empty"):
        with pytest.raises((OSError, ValueError), match=f"{tmp_path}/{name}"):
            open_publisher(f"https://host/?{parameter}={tmp_path}/{name}")


@pytest.mark.parametrize("written", ["plain", "prefixed"])
def test_with_a_key_the_exact_bytes_are_signed_and_a_repetition_has_the_same_id(
    serve, publish_to, short_pauses, tmp_path, written
):
    key = bytes(range(32))
    path = tmp_path / "key"
    path.write_bytes(b"x" + key if written == "plain" else b"whsec_" + base64.b64encode(key) + b"\n")
    key = b"x" + key if written == "plain" else key
    server = serve(500)
    publisher = publish_to(f"http://127.0.0.1:{server.port}/?hmac_key_file={path}")
    publisher.publish_samples([outgoing(1, metadata={"é": 1})])
    wait_until(lambda: publisher.state().sent == 1)
    publisher.publish_samples([outgoing(2)])
    publisher.close(10)
    first, again, other = server.posted
    for post in (first, again, other):
        signed = f"{post.headers['webhook-id']}.{post.headers['webhook-timestamp']}.".encode() + post.body
        right = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        assert post.headers["webhook-signature"] == f"v1,{right}"
    assert first.headers["webhook-id"] == again.headers["webhook-id"] != other.headers["webhook-id"]


def test_the_signature_is_the_one_that_the_standard_webhooks_give():
    # Computed with openssl dgst -sha256 -hmac 0123456789abcdef -binary, over id, dot, time, dot, body.
    headers = sign(b"[]", b"0123456789abcdef", now=1_700_000_000)
    assert headers["webhook-id"] == "msg_" + hashlib.sha256(b"[]").hexdigest()[:32]
    assert headers["webhook-timestamp"] == "1700000000"
    assert headers["webhook-signature"] == "v1,Z4KdEWZXGJhb5eF9D1W4TKl32aV2pkw+t9J/4YVnFoM="


@pytest.mark.parametrize("content", [b"whsec_!!!", b"short"])
def test_a_key_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ValueError, match="expected"):
        open_publisher(f"http://host/?hmac_key_file={tmp_path}/key")
