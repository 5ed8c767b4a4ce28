from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.notifiers.urls import BadUrl, Target, check_url, read_address, read_target, receiver_of


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("http://example.org", Target("http", "example.org", 80, "/")),
        ("https://Example.org./a/b?c=d&e=f", Target("https", "example.org", 443, "/a/b?c=d&e=f")),
        ("https://example.org:8443/x", Target("https", "example.org", 8443, "/x")),
        ("http://example.org:/x", Target("http", "example.org", 80, "/x")),
        ("http://203.0.114.7/", Target("http", "203.0.114.7", 80, "/")),
        ("http://[2A00:0001:0::5]:81/", Target("http", "2a00:1::5", 81, "/")),
        ("https://xn--bcher-kva.example/", Target("https", "xn--bcher-kva.example", 443, "/")),
        ("http://my_host/", Target("http", "my_host", 80, "/")),
        ("http://example.org//x@y:z", Target("http", "example.org", 80, "//x@y:z")),
    ],
)
def test_a_url_is_read_in_one_way(url: str, target: Target) -> None:
    assert read_target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        # Addresses that some readers take for others: decimal, octal, hexadecimal, short, percent-encoded, other digits and dots.
        *("http://2130706433/", "http://0177.0.0.1/", "http://0x7f.0.0.1/", "http://0x7f000001/", "http://127.1/"),
        *("http://127.0.0.1.1/", "http://0x/", "http://1.2.3.04/", "http://%31%32%37.0.0.1/", "http://example.0x7f/"),
        *("http://①②⑦.⓪.⓪.①/", "http://127。0。0。1/", "http://１２７.0.0.1/", "http://bücher.example/"),
        # Who is the host?
        *("http://good.example@127.0.0.1/", "http://127.0.0.1#@good.example@x/", "http://good.example\\@127.0.0.1/"),
        *("http://good.example:80@127.0.0.1:81/", "http://@127.0.0.1/", "http://good.example\\.evil.example/"),
        *(
            "http://[::1].good.example/",
            "http://good[::1]/",
            "http://[::1]good/",
            "http://[fe80::1%25eth0]/",
            "http://[::1",
        ),
        *("http://[127.0.0.1]/", "http://[v1.x]/", "http://::1/", "http://a:b:80/", "http://good.example,127.0.0.1/"),
        *("http://good..example/", "http://.good.example/", "http://-good.example/", "http://good.example../"),
        *("http://" + "a" * 64 + ".example/", "http://" + "a." * 130 + "example/"),
        # Ports.
        *("http://good.example:0/", "http://good.example:65536/", "http://good.example:-1/", "http://good.example:8o/"),
        *("http://good.example:80:81/", "http://good.example:+80/", "http://good.example:80_0/"),
        # No http, no host, more than a URL.
        *(
            "http:///path",
            "http:good.example",
            "//good.example/",
            "ftp://good.example/",
            "file:///etc/passwd",
            "gopher://x/",
            "",
        ),
        *(
            "http://good.example/\r\nx-token: 1",
            "http://good.example/a b",
            "http://good.example/\x00",
            " http://good.example/",
        ),
        "http://good.example/" + "a" * 2048,
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(url: str) -> None:
    with pytest.raises(BadUrl):
        check_url(url) if url.startswith("http") else read_target(url)


@given(st.text(st.characters(max_codepoint=0x2FF), max_size=40))
def test_what_is_read_has_one_host_of_plain_characters(rest: str) -> None:
    try:
        target = read_target(f"http://{rest}")
    except BadUrl:
        return
    assert set(target.host) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-_:")
    assert 1 <= target.port <= 65535
    assert target.path.startswith("/")
    assert (urlsplit(f"http://{rest}").hostname or "").removesuffix(".").startswith(target.host[:1])


@pytest.mark.parametrize("url", ["mailto:lena@example.org", "mailto:lena%2Bops@example.org"])
def test_a_mail_goes_to_one_address(url: str) -> None:
    assert read_address(url) in ("lena@example.org", "lena+ops@example.org")


@pytest.mark.parametrize(
    "url",
    [
        *("mailto:", "mailto:lena", "mailto:a@b.example,c@d.example", "mailto:a@b.example?bcc=c@d.example"),
        *(
            "mailto:a@b.example%0d%0aBcc:%20c@d.example",
            'mailto:"x y"@b.example',
            "mailto:a@b.example ",
            "mailto:a@@b.example",
        ),
        "mailto:-oQ/tmp@b",
    ],
)
def test_a_mail_goes_to_no_more_than_one_address(url: str) -> None:
    with pytest.raises(BadUrl):
        check_url(url)


def test_one_host_is_one_receiver_whatever_its_paths_and_ports() -> None:
    assert (
        receiver_of("https://Hook.example:8443/a") == receiver_of("https://hook.example/b?c") == "https://hook.example"
    )
    assert receiver_of("log://anything") == "log"
    assert receiver_of("http://a b") == "http"
