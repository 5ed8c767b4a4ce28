"""``manage.py send_notification``: a notification out of a file, as if a service had sent it."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from django.conf import settings
from django.core.management.base import CommandError

from agents.broker import publish_bundle
from agents.definition_files import BadDefinitions
from agents.keys import BadKeyFile
from agents.management.examples import CommandWithExamples
from agents.node import own_directory, read_key
from agents.notifications.neutron import each_of
from agents.notifications.notification import Notification
from agents.notifications.rules import Rules, read_rules
from agents.notifications.unpacking import BadNotification, unpack
from metering.messages import Bundle, Letter, seal_bundle


class Command(CommandWithExamples):
    help = (
        "Hand a notification to the transform role as the listener would, and show what is made of it. FILE holds one as JSON, with or "
        "without oslo's envelope, or a list of them; - reads standard input. A message_id or a timestamp that is missing is filled in. For "
        "trying definitions: --print only shows."
    )
    examples = (
        "python manage.py send_notification tests/data/notifications/legacy/volume.create.end.json --print",
        """echo '{"event_type": "volume.create.end", "payload": {"volume_id": "v", "size": 7}}' | python manage.py send_notification -""",
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE", help="where the notification stands, - for standard input")
        parser.add_argument(
            "--print", action="store_true", dest="only_print", help="only show what is made of it; send nothing"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        entries = _read(options["file"])
        letters = [Letter(_completed(entry)) for entry in entries]
        shown = self._show(letters)
        if options["only_print"]:
            return
        bundle = Bundle(id=uuid4().hex, taken=time.time_ns() // 1000, bus="send_notification", letters=letters)
        try:
            publish_bundle(seal_bundle(bundle, read_key()))
        except BadKeyFile as error:
            raise CommandError(str(error)) from error
        except Exception as error:
            raise CommandError(f"the broker does not take it: {error}") from error
        self.stdout.write(f"sent: {len(letters)} to the transform role")
        for entry, notification in zip(entries, shown, strict=True):
            for name in _known_by(entry, notification):
                self.stdout.write(
                    f"{name}: if it was metered before, nothing is added; take it out of the file to try again"
                )

    def _show(self, letters: list[Letter]) -> list[Notification]:
        """Each as it was read."""
        try:
            rules = read_rules(own_directory(), Path(settings.CELOMETER_DEFAULTS_DIR))
        except BadDefinitions as error:
            raise CommandError(str(error)) from error
        shown = []
        for letter in letters:
            try:
                shown.append(unpack(letter))
                notifications = each_of(shown[-1])
            except BadNotification as error:
                raise CommandError(error.detail) from error
            for notification in notifications:
                self._show_one(rules, notification)
        return shown

    def _show_one(self, rules: Rules, notification: Notification) -> None:
        self.stdout.write(f"{notification.event_type} {notification.message_id} ({notification.priority})")
        for sample in rules.meters.samples(notification, report=self._report):
            owner = f"project {sample.resource.project}, user {sample.resource.user}"
            self.stdout.write(
                f"  sample  {sample.meter.name} = {sample.volume} {sample.meter.unit} ({sample.meter.type}) "
                f"of {sample.resource.id}, {owner}"
            )
        event = rules.events.event(notification, report=self._report)
        if event:
            self.stdout.write(f"  event   {event.type}")
            for trait in event.traits:
                self.stdout.write(f"    {trait.name} = {trait.value} ({trait.type})")

    def _report(self, where: str, what: str) -> None:
        self.stdout.write(f"  {where}: {what}")


def _read(name: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(sys.stdin.read() if name == "-" else Path(name).read_text())
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}") from error
    except ValueError as error:
        raise CommandError(f"{name}: expected JSON: {error}") from error
    entries = document if isinstance(document, list) else [document]
    if not entries or not all(isinstance(entry, dict) for entry in entries):
        raise CommandError(f"{name}: expected a notification, a JSON object, or a list of them")
    return entries


def _known_by(entry: dict[str, Any], notification: Notification) -> Iterator[str]:
    """What of the file tells that it came before."""
    if "message_id" in entry or "oslo.message" in entry:
        yield f"message_id {notification.message_id}"
    if notification.origin.startswith("nova/"):
        yield f"request_id {notification.ctxt['request_id']} of Nova's action"


def _completed(entry: dict[str, Any]) -> bytes:
    """The message with what its sender's library would have added."""
    if "oslo.message" not in entry:
        now = datetime.now(UTC).replace(tzinfo=None)
        entry = {"message_id": str(uuid4()), "timestamp": now.isoformat(" ", "microseconds")} | entry
    return json.dumps(entry).encode()
