"""``manage.py outbox``: what lies in this node's outbox, and sending it again."""

from __future__ import annotations

import argparse
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from agents.keys import BadKeyFile
from agents.node import forward_to_all, open_outbox
from agents.outbox import Outbox
from agents.sender import send_round


class Command(BaseCommand):
    help = (
        "Show this node's outbox, or after a broker lost its data send again what it holds (sent batches are kept for a day). "
        "Sending twice is harmless: the collector stores each batch once."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION")
        actions.add_parser("show", help="how much waits and how much was sent (the default)")
        resend = actions.add_parser("resend", help="send kept batches again")
        resend.add_argument("--hours", type=float, default=24.0, help="only those made in the last HOURS (default: 24)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            outbox = open_outbox()
        except BadKeyFile as error:
            raise CommandError(str(error)) from error
        if options["action"] == "resend":
            self._resend(outbox, options["hours"])
        self._show(outbox)

    def _show(self, outbox: Outbox) -> None:
        state = outbox.state()
        since = f", the oldest since {time.time() - state.oldest_unsent_at:.0f} s" if state.oldest_unsent_at else ""
        self.stdout.write(f"{outbox.path}: stream {state.stream}, {state.last_sequence} batches made so far")
        self.stdout.write(f"waiting: {state.unsent} batches, {state.unsent_bytes} bytes{since}")
        self.stdout.write(f"sent and kept: {state.sent} batches")

    def _resend(self, outbox: Outbox, hours: float) -> None:
        total = outbox.resend(since=time.time() - hours * 3600)
        self.stdout.write(f"sending {total} batches again")
        publish = forward_to_all()
        while waiting := outbox.state().unsent:
            try:
                sent, _ = send_round(outbox, publish)
            except Exception as error:
                raise CommandError(
                    f"the broker does not take them: {error}. {waiting} batches wait; the node's worker sends them when it does."
                ) from error
            self.stdout.write(f"  {waiting - sent} to go")
            if not sent:
                # The node's own worker holds the right to send and is at it.
                time.sleep(0.5)
