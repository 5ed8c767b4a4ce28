"""``manage.py listen``: the listener of a cloud's notifications."""

from __future__ import annotations

import logging
import signal
import threading
import time
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError

from agents.broker import publish_bundle
from agents.keys import BadKeyFile
from agents.management.examples import CommandWithExamples
from agents.node import read_key
from agents.notifications.addresses import BadAddress, Bus, read_addresses
from agents.notifications.listener import Listener
from metering.messages import Bundle, PrivateKey, seal_bundle

logger = logging.getLogger(__name__)
_REPORT_SECONDS = 60.0


class Command(CommandWithExamples):
    help = (
        "Listen to the notifications of a cloud's services and hand them to the transform role, until stopped (Ctrl-C or SIGTERM). The "
        "buses stand in CELOMETER_NOTIFICATION_URLS, as services have them in transport_url: rabbit://USER:PASSWORD@HOST:5672/VHOST, "
        "several with blanks between them. ?exchanges=nova,cinder listens to these alone; ?queue=shared consumes the queues that "
        "Ceilometer would, instead of one of our own. ?topics= names other topics than notifications,versioned_notifications; "
        "?durable=true makes exchanges that are not there yet durable, as amqp_durable_queues does; ?ssl=true (or ?ssl_ca_file=FILE, or "
        "amqps://) speaks TLS. What is not handed over stays on the bus."
    )
    examples = (
        "CELOMETER_NOTIFICATION_URLS='rabbit://reader:PASSWORD@mq-1:5672,reader:PASSWORD@mq-2:5672/' python manage.py listen",
        "CELOMETER_NOTIFICATION_URLS='rabbit://reader:PASSWORD@mq:5671/?exchanges=nova,cinder&ssl=true' python manage.py listen",
    )

    def handle(self, *args: Any, **options: Any) -> None:
        buses, key = self._read_settings()
        listeners = [Listener(bus, lambda bundle: _hand_over(bundle, key)) for bus in buses]
        stopping = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stopping.set())
        for listener in listeners:
            listener.start()
        reported_at, taken = time.monotonic(), 0
        while not stopping.wait(0.2):
            if time.monotonic() - reported_at >= _REPORT_SECONDS:
                total = sum(listener.taken for listener in listeners)
                logger.info("%d notifications in the last minute, %d since the start", total - taken, total)
                reported_at, taken = time.monotonic(), total
        for listener in listeners:
            listener.stop()
        for listener in listeners:
            listener.join(timeout=5)
        logger.info("stopped; %d notifications were handed over", sum(listener.taken for listener in listeners))

    def _read_settings(self) -> tuple[list[Bus], PrivateKey]:
        try:
            buses = read_addresses(settings.CELOMETER_NOTIFICATION_URLS)
            if not buses:
                raise CommandError(
                    "CELOMETER_NOTIFICATION_URLS is empty: expected the buses to listen to, such as rabbit://USER:PASSWORD@HOST:5672/"
                )
            return buses, read_key()
        except (BadAddress, BadKeyFile) as error:
            raise CommandError(
                f"CELOMETER_NOTIFICATION_URLS: {error}" if isinstance(error, BadAddress) else str(error)
            ) from error


def _hand_over(bundle: Bundle, key: PrivateKey) -> None:
    publish_bundle(seal_bundle(bundle, key))
