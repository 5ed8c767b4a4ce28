"""``mailto:somebody@example.org``: a mail through the operator's relay, ``CELOMETER_SMTP_URL``."""

from __future__ import annotations

import json
import re
import smtplib
import ssl
from email.message import EmailMessage
from email.utils import formatdate
from typing import Any
from urllib.parse import unquote, urlsplit

from django.conf import settings

from .contract import Message, Outcome
from .urls import BadUrl, read_address

__all__ = ["MailNotifier"]

_DEFAULT_PORTS = {"smtp": 25, "smtps": 465}


class MailNotifier:
    """The relay is the operator's: TLS is verified with ``smtps://``, and with STARTTLS where a login is sent or the relay offers it."""

    def notify(self, message: Message, *, timeout_seconds: float) -> Outcome:
        try:
            address = read_address(message.url)
        except BadUrl as error:
            return Outcome("impossible", f"not sent: {error}")
        if not settings.CELOMETER_SMTP_URL:
            return Outcome("impossible", "not sent: this deployment sends no mail (CELOMETER_SMTP_URL is not set)")
        try:
            _send(_mail(message, address), settings.CELOMETER_SMTP_URL, timeout_seconds)
        except smtplib.SMTPRecipientsRefused as error:
            code = next(iter(error.recipients.values()))[0]
            return Outcome("impossible" if code >= 500 else "failed", f"the mail relay refused the address ({code})")
        except (smtplib.SMTPException, OSError) as error:
            return Outcome("failed", f"the mail relay did not take it: {type(error).__name__}")
        return Outcome("delivered", "handed to the mail relay")


def _mail(message: Message, address: str) -> EmailMessage:
    told: dict[str, Any] = json.loads(message.body)
    mail = EmailMessage()
    mail["From"] = settings.CELOMETER_MAIL_FROM
    mail["To"] = address
    subject = f"{told['alarm_name']}: {told['current']} (was {told['previous']}), {told['severity']}"
    mail["Subject"] = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", subject).split())
    mail["Date"] = formatdate(usegmt=True)
    # The same in every attempt, so that a mailbox can tell a repetition.
    mail["Message-ID"] = f"<{message.headers['webhook-id']}@celometer>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(f"{told['reason']}\n\n{json.dumps(told, indent=2)}\n")
    return mail


def _send(mail: EmailMessage, relay: str, timeout_seconds: float) -> None:
    parts = urlsplit(relay)
    host, port = parts.hostname or "", parts.port or _DEFAULT_PORTS[parts.scheme]
    context = ssl.create_default_context()
    server: smtplib.SMTP = (
        smtplib.SMTP_SSL(host, port, timeout=timeout_seconds, context=context)
        if parts.scheme == "smtps"
        else smtplib.SMTP(host, port, timeout=timeout_seconds)
    )
    with server:
        server.ehlo()
        if parts.scheme == "smtp" and (parts.username or server.has_extn("starttls")):
            server.starttls(context=context)
            server.ehlo()
        if parts.username:
            server.login(unquote(parts.username), unquote(parts.password or ""))
        server.send_message(mail)
