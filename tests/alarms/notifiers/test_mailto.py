from __future__ import annotations

import json
import socketserver
import threading
from email import message_from_bytes, policy

import pytest

from alarms.notifiers.attempts import attempt
from alarms.notifiers.contract import Message, Outcome

TOLD = {
    "alarm_name": "disk\r\nBcc: everybody@example.org",
    "alarm_id": "1",
    "severity": "low",
    "previous": "ok",
    "current": "alarm",
    "reason": "Transition to alarm: żółw\n.\nQUIT",
    "reason_data": {"most_recent": 97.5},
}


class Relay:
    """A mail relay that says yes, or ``refusals`` by command; it keeps envelopes and mails."""

    def __init__(self, **refusals: str) -> None:
        self.mails: list[tuple[str, list[str], bytes]] = []
        relay = self

        class Handler(socketserver.StreamRequestHandler):
            def say(self, line: str) -> None:
                self.wfile.write(line.encode() + b"\r\n")

            def handle(self) -> None:
                sender, recipients = "", []
                self.say("220 relay")
                while line := self.rfile.readline():
                    command, _, rest = line.decode().strip().partition(" ")
                    command = command.lower()
                    if command in refusals:
                        self.say(refusals[command])
                    elif command == "quit":
                        self.say("221 bye")
                        return
                    elif command == "data":
                        self.say("354 go on")
                        lines = []
                        while (line := self.rfile.readline()) not in (b".\r\n", b""):
                            lines.append(line[1:] if line.startswith(b".") else line)
                        relay.mails.append((sender, recipients, b"".join(lines)))
                        self.say("250 taken")
                    else:
                        if command == "mail":
                            sender, recipients = rest, []
                        elif command == "rcpt":
                            recipients.append(rest)
                        self.say("250 yes")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"smtp://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def relay(settings):
    relays = []

    def start(**refusals: str) -> Relay:
        relays.append(Relay(**refusals))
        settings.CELOMETER_SMTP_URL = relays[-1].url
        settings.CELOMETER_MAIL_FROM = "celometer@cloud.example"
        return relays[-1]

    yield start
    for each in relays:
        each.close()


def mail(url: str = "mailto:lena@example.org") -> Outcome:
    return attempt(Message(url, json.dumps(TOLD).encode(), {"webhook-id": "msg_1"}), timeout_seconds=2)


def test_a_mail_says_what_happened_to_one_address(relay) -> None:
    server = relay()
    assert mail()[:2] == ("delivered", "handed to the mail relay")
    ((sender, recipients, content),) = server.mails
    assert sender.startswith("FROM:<celometer@cloud.example>")
    assert recipients == ["TO:<lena@example.org>"]
    read = message_from_bytes(content, policy=policy.default)
    assert read["Subject"] == "disk Bcc: everybody@example.org: alarm (was ok), low"
    assert (read["Bcc"], read["Message-ID"]) == (None, "<msg_1@celometer>")
    text = read.get_content().replace("\r\n", "\n")
    assert text.startswith("Transition to alarm: żółw\n.\nQUIT\n")
    assert json.loads(text[text.index("{") :]) == TOLD


def test_without_a_relay_mails_are_refused_clearly(settings) -> None:
    settings.CELOMETER_SMTP_URL = ""
    assert mail()[:2] == ("impossible", "not sent: this deployment sends no mail (CELOMETER_SMTP_URL is not set)")


@pytest.mark.parametrize(
    ("refusals", "kind"),
    [
        ({"rcpt": "550 no such box"}, "impossible"),
        ({"rcpt": "450 later"}, "failed"),
        ({"mail": "451 later"}, "failed"),
        ({"data": "554 no"}, "failed"),
    ],
)
def test_what_the_relay_says_is_what_came_of_it(relay, refusals: dict[str, str], kind: str) -> None:
    relay(**refusals)
    assert mail().kind == kind


def test_a_relay_that_is_away_is_tried_again(relay, settings) -> None:
    relay().close()
    outcome = mail()
    assert outcome.kind == "failed"
    assert "127.0.0.1" not in outcome.text


def test_a_login_is_not_sent_in_the_clear(relay, settings) -> None:
    server = relay()
    settings.CELOMETER_SMTP_URL = server.url.replace("//", "//user:secret@")
    assert mail().kind == "failed", "it offers no STARTTLS"
    assert server.mails == []


@pytest.mark.parametrize("url", ["mailto:a@b.example,c@d.example", "mailto:", "mailto:a@b.example?cc=c@d.example"])
def test_what_is_not_one_address_is_refused(relay, url: str) -> None:
    relay()
    assert mail(url).kind == "impossible"
