"""``manage.py enroll NAME``: let an agent's key sign batches."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from metering.messages import PrivateKey, PublicKey
from metering.models import Agent, AgentKey


class Command(BaseCommand):
    help = (
        "Enroll an agent: from now on batches signed with its key under its NAME are accepted. A node makes its key at its first start "
        "and keeps the public half beside it (key.pub): bring that here with --public-key. With --new-key a pair is made here and its "
        "private half printed, once: put it into the node's CELOMETER_AGENT_KEY file with mode 0600."
    )

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("name", help="the agent's name: CELOMETER_NODE of the node, by default its host name")
        key = parser.add_mutually_exclusive_group()
        key.add_argument(
            "--public-key", metavar="FILE", help="PEM file with the agent's public key; - for standard input"
        )
        key.add_argument(
            "--new-key", action="store_true", help="make a pair, print the private half (default for a new agent)"
        )
        parser.add_argument(
            "--source", action="append", default=[], help="a source that it may sign for (repeat; default: any)"
        )
        parser.add_argument(
            "--project", action="append", default=[], help="a project that it may sign for (repeat; default: any)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self._check_name(options)
        private = None if options["public_key"] else PrivateKey.generate()
        public = private.public if private else self._read_public_key(options["public_key"])
        with transaction.atomic():
            agent, _ = Agent.objects.get_or_create(name=options["name"])
            key, created = AgentKey.objects.get_or_create(
                key_id=public.id, defaults={"agent": agent, "public_key": public.raw}
            )
            if key.agent_id != agent.pk:
                raise CommandError(f"key {public.id} is enrolled already, for agent {key.agent.name!r}")
            if key.revoked_at:
                raise CommandError(f"key {public.id} was revoked at {key.revoked_at:%Y-%m-%d %H:%M:%S}: make a new one")
            if created or options["source"] or options["project"]:
                key.allowed_sources, key.allowed_projects = options["source"], options["project"]
                key.save(update_fields=["allowed_sources", "allowed_projects"])
        self.stderr.write(f"agent {agent.name}: key {public.id} {'enrolled' if created else 'was enrolled already'}")
        if private:
            self.stdout.write(private.pem(), ending="")

    def _check_name(self, options: dict[str, Any]) -> None:
        """Nobody gets a second key by asking whether there is a first."""
        name = options["name"]
        if not name.strip() or not name.isprintable() or len(name) > 255:
            raise CommandError(f"name {name!r}: expected 1 to 255 printable characters")
        known = AgentKey.objects.filter(agent__name=name, revoked_at=None).values_list("key_id", flat=True)
        if known and not options["public_key"] and not options["new_key"]:
            raise CommandError(
                f"agent {name} is enrolled already, with key {', '.join(known)}: "
                "give --public-key FILE to add a key, --new-key to make one"
            )

    def _read_public_key(self, name: str) -> PublicKey:
        try:
            return PublicKey.from_pem(sys.stdin.read() if name == "-" else Path(name).read_text())
        except OSError as error:
            raise CommandError(f"{name}: {error.strerror}") from error
        except ValueError as error:
            raise CommandError(f"{name}: {error}") from error
