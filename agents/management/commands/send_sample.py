"""``manage.py send_sample``: one sample made by hand, on the way that all take."""

from __future__ import annotations

import argparse
import json
import time
from typing import Any
from uuid import uuid4

from django.core.management.base import CommandError

from agents.management.examples import CommandWithExamples
from agents.notifications.role import RoleFault, TransformRole
from agents.notifications.rules import SOURCE
from agents.notifications.times import microseconds_of
from agents.pipeline.publishers.address import shown_url
from agents.pipeline.run import Unit
from agents.sender import send_round
from metering.messages import BadVolume, Meter, Resource, Sample, SampleCheck, volume_text

_TYPES = ("gauge", "delta", "cumulative")


class Command(CommandWithExamples):
    help = (
        "Make one sample by hand and send it through the pipelines: to the collector, signed by this node, and to whatever other "
        "publishers pipeline.yaml names for its meter. For trying things: a pipeline, an alarm, a report."
    )
    examples = (
        "python manage.py send_sample -n apples -r tree-1 -l 12.5 -U piece",
        """python manage.py send_sample -n cpu -y cumulative -U ns -l 7200000000000 -r INSTANCE -p PROJECT -m '{"vcpus": 2}'""",
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("-n", "--name", required=True, help="the meter's name")
        parser.add_argument("-y", "--type", choices=_TYPES, default="gauge", help="the meter's type (default: gauge)")
        parser.add_argument("-U", "--unit", default="", help="the meter's unit (default: none)")
        parser.add_argument("-l", "--volume", default="1", help="the volume, a decimal number (default: 1)")
        parser.add_argument("-r", "--resource", required=True, help="the resource's id")
        parser.add_argument("-u", "--user", help="the id of the user whose it is (default: nobody's)")
        parser.add_argument("-p", "--project", help="the id of the project whose it is (default: none's)")
        parser.add_argument(
            "-i", "--timestamp", help="when it was measured, such as 2026-03-14T09:26:41 (UTC; default: now)"
        )
        parser.add_argument(
            "-m", "--metadata", default="{}", help='the resource\'s metadata, a JSON object: {"flavor": "m1"}'
        )

    def handle(self, *args: Any, **options: Any) -> None:
        sample = _sample(options)
        try:
            role = TransformRole()
        except RoleFault as error:
            raise CommandError(str(error)) from error
        delivery = role.transform.take(Unit(f"send_sample/{uuid4()}", [sample]))
        self._send(role)
        role.transform.close()
        for unit in delivery.collector:
            for made in unit.samples:
                self.stdout.write(f"to the collector: {_shown(made)}")
        for url, outgoing in delivery.outgoing.items():
            for entry in outgoing:
                self.stdout.write(f"to {shown_url(url)}: {_shown(entry.sample)}")
        if not delivery.collector and not delivery.outgoing:
            self.stdout.write("nowhere (yet): no pipeline wants this meter, or its transformers wait for more samples")

    def _send(self, role: TransformRole) -> None:
        while role.outbox.state().unsent:
            try:
                sent, _ = send_round(role.outbox, role.publish)
            except Exception as error:
                raise CommandError(
                    f"the broker does not take it: {error}. It waits in this node's outbox, which its worker sends when it does."
                ) from error
            if not sent:
                # The node's own worker holds the right to send and is at it.
                time.sleep(0.2)


def _sample(options: dict[str, Any]) -> Sample:
    """Raises CommandError naming what is wrong."""
    try:
        metadata = json.loads(options["metadata"])
        if not isinstance(metadata, dict):
            raise CommandError(f"--metadata {options['metadata']!r}: expected a JSON object")
        timestamp = microseconds_of(options["timestamp"]) if options["timestamp"] else time.time_ns() // 1000
        volume = volume_text(options["volume"])
    except json.JSONDecodeError as error:
        raise CommandError(f"--metadata {options['metadata']!r}: expected a JSON object: {error}") from error
    except (BadVolume, ValueError) as error:
        raise CommandError(str(error)) from error
    sample = Sample(
        Meter(options["name"], options["type"], options["unit"]),
        Resource(options["resource"], SOURCE, options["project"], options["user"], metadata),
        timestamp,
        volume,
    )
    problem = SampleCheck().problem_with(sample)
    if problem:
        raise CommandError(f"this cannot be sent: {problem}")
    return sample


def _shown(sample: Sample) -> str:
    return f"{sample.meter.name} = {sample.volume} {sample.meter.unit} ({sample.meter.type}) of {sample.resource.id}"
