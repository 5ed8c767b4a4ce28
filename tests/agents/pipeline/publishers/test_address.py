"""Publisher URLs: what each may say, and what is told of one that is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.pipeline.publishers.address import BadAddress, masked, parse_address, shown_url, url_problem


@pytest.mark.parametrize(
    "url",
    [
        "collector://",
        "collector",
        "http://host",
        "https://user:secret@host:8443/in/here?batch=false&verify_ssl=/etc/ca.pem&clientcert=/c.pem&clientkey=/k.pem",
        "http://host/?raw_only=True&timeout=2.5&max_retries=0&their=own&hmac_key_file=/etc/key",
        "http://[::1]:8080/x",
        "udp://10.0.0.9",
        "udp://[fe80::1]:4953/",
        "tcp://host:1?timeout=1",
        "file:///var/log/samples",
        "file:///var/log/samples?max_bytes=1000&backup_count=5&json",
        "file:///var/log/samples?json=True",
        "file:///var/log/a@b",
        "prometheus://0.0.0.0:9464",
        "prometheus://[::]:9464/metrics?expire_minutes=30&max_series=5",
        "opentelemetryhttp://host",
        "opentelemetryhttp://host:4318/v1/metrics?ssl=true&batch=true",
        "opentelemetryhttps://user:secret@host/v1/metrics?verify_ssl=false",
        "kafka://broker:9092?topic=samples&max_retry=3&policy=queue&max_queue_length=7",
    ],
)
def test_a_good_url_has_no_problem(url):
    assert url_problem(url) == ""


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("gnocchi://", "is not there any more; samples and events go to Celometer's own store with collector://"),
        ("gnocchi", "collector://"),
        ("notifier://?topic=x", "to feed other programs use kafka://"),
        ("direct://", "collector://"),
        ("direct://?dispatcher=http", "collector://"),
        ("database://", "collector://"),
        ("panko://", "collector://"),
        ("zaqar://?queue=x", "use http:// or kafka://"),
        ("file_alt:///x", "use file://"),
        ("http_alt://x", "use http://"),
        ("test://", "use file://"),
        ("ftp://host", "unknown scheme 'ftp'; expected one of collector, file, http, https, kafka"),
        ("", "unknown scheme ''"),
        ("http://", "no host; expected http://HOST"),
        ("udp://:4952", "no host"),
        ("http://host:port/", "host and port cannot be read"),
        ("http://host:99999/", "host and port cannot be read"),
        ("http://[::1/", "host and port cannot be read"),
        ("http://host/a b", "a blank or a control character"),
        ("http://host/a\nb", "a blank or a control character"),
        ("http://user:12/secret@host/", "an '@' after the host"),
        ("http://user:Q@0?secret@host/", "write @ / ? # of a password as %40 %2F %3F %23"),
        ("http://host/#x", "write it as %23"),
        ("collector://host", "takes no host"),
        ("collector:///x", "expected collector://"),
        ("collector://?x=1", "unknown parameter 'x'; expected one of: none"),
        ("http://host?batch=maybe&timeout=x", "batch='maybe': expected true or false; timeout='x': expected seconds"),
        ("udp://host?timeout=1", "unknown parameter 'timeout'; expected one of: max_queue_length"),
        ("udp://host/path", "unexpected path '/path'"),
        ("tcp://user:secret@host", "takes no user and password"),
        ("http://host?timeout=0", "timeout='0': expected seconds above 0"),
        ("http://host?timeout=nan", "timeout='nan': expected seconds"),
        ("http://host?timeout=", "timeout='': expected seconds"),
        ("http://host?max_retries=-1", "max_retries='-1': expected a whole number of at least 0"),
        ("http://host?max_queue_length=0", "expected a whole number of at least 1"),
        ("http://host?batch=maybe", "batch='maybe': expected true or false"),
        ("http://host?clientkey=/k", "clientkey without clientcert"),
        ("http://host?hmac_key_file=", "hmac_key_file='': expected some text"),
        ("file://var/x", "takes no host; did you mean file:///"),
        ("file://", "expected the path of a file"),
        ("file:///var/", "expected the path of a file"),
        ("file:///x?max_bytes=10", "max_bytes and backup_count go together"),
        ("file:///x?backup_count=10", "max_bytes and backup_count go together"),
        ("file:///x?json=false", "lines are always JSON"),
        ("file:///x?maxbytes=1", "unknown parameter 'maxbytes'; expected one of: max_bytes, backup_count, json"),
        ("prometheus://gateway:9091/metrics/job/x", "not a Pushgateway to push to"),
        ("prometheus://host?expire_minutes=0", "expire_minutes='0'"),
        ("opentelemetryhttp://host?raw_only=true", "unknown parameter 'raw_only'"),
        ("kafka://h?policy=keep", "policy='keep': expected default, queue or drop"),
    ],
)
def test_a_mistake_is_named(url, complaint):
    assert complaint in url_problem(url)


@pytest.mark.parametrize("url", ["udp://host", "tcp://host", "prometheus://0.0.0.0:9464", "opentelemetryhttp://host"])
def test_events_have_no_place_where_only_samples_are_taken(url):
    assert url_problem(url) == ""
    assert "takes samples only" in url_problem(url, for_events=True)


def test_the_last_value_of_a_parameter_counts():
    values = parse_address("http://host?timeout=2&timeout=1").values
    assert values["timeout"] == 1.0


def test_parameters_of_ours_leave_the_query_and_others_stay_as_they_were_written():
    address = parse_address("http://host/p?timeout=1&a=%20b&c&a=2&batch=0")
    assert (address.rest, address.values["batch"]) == ("a=%20b&c&a=2", False)


def test_defaults_of_ports():
    urls = ["udp://h", "tcp://h", "kafka://h", "prometheus://h", "opentelemetryhttp://h", "udp://h:1"]
    assert [parse_address(url).port for url in urls] == [4952, 4952, 9092, 9464, 4318, 1]


def test_credentials_are_unquoted():
    address = parse_address("http://us%40er:p%3Aw@host/")
    assert (address.user, address.password, address.host) == ("us@er", "p:w", "host")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:secret@host/x?timeout=1&token=secret", "http://***@host/x?timeout=1&token=***"),
        ("http://secret@host", "http://***@host"),
        ("http://user:12/secret@host/", "http://***@host/"),
        ("http://user:s/e?c@r#et@host/", "http://***@host/"),
        ("http://host/x#secret", "http://host/x#***"),
        ("http://host/x?secret", "http://host/x?***"),
        ("ftp://user:secret@host/?secret=1", "ftp://***@host/?secret=***"),
        ("collector://", "collector://"),
        ("file:///var/log/a@b", "file:///var/log/a@b"),
        ("http:///user:secret@host", "http://***@host"),
    ],
)
def test_nothing_secret_is_shown(url, shown):
    assert shown_url(url) == shown


passwords = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)


@settings(max_examples=300)
@given(password=passwords, scheme=st.sampled_from(["http", "kafka", "tcp", "udp", "gnocchi", "ftp"]))
def test_no_text_about_a_url_holds_its_password(password, scheme):
    secret = f"Q{password}Q"
    url = f"{scheme}://user:{secret}@host:1/path?timeout=never"
    for text in (shown_url(url), url_problem(url), masked(f"cannot reach {url} as user with {secret}", url)):
        assert secret not in text
    with pytest.raises(BadAddress) as caught:
        parse_address(url)
    assert secret not in repr(caught.value)


@settings(max_examples=300)
@given(password=passwords)
def test_a_password_never_moves_the_host_that_things_are_sent_to(password):
    try:
        address = parse_address(f"http://user:{password}@host:1/path")
    except BadAddress:
        return
    assert (address.host, address.port, address.path) == ("host", 1, "/path")
