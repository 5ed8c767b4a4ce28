"""``manage.py token USERNAME``: print a new API token, and nothing else, on standard output."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from metering.models import ApiToken, Membership

__all__ = ["Command"]


class Command(BaseCommand):
    help = "Print a new API token of a user, who is created if missing. It is shown this once: only its digest is kept."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--project", action="append", default=[], metavar="P", help="let the user see this project too; repeatable"
        )
        parser.add_argument("--operator", action="store_true", help="let the user see everything, and use the admin")

    def handle(self, *, username: str, project: list[str], operator: bool, **options: Any) -> None:
        users = get_user_model()
        for name, longest in ((username, 150), *((name, 255) for name in project)):
            if not name.strip() or "\x00" in name or len(name) > longest:
                raise CommandError(f"{name[:80]!r}: expected a name of 1 to {longest} characters")
        with transaction.atomic():
            user, created = users.objects.get_or_create(username=username)
            if created:
                # No password: the user can log in only after an operator sets one.
                user.set_unusable_password()
            if operator:
                user.is_staff = user.is_superuser = True
            if created or operator:
                user.save()
            Membership.objects.bulk_create(
                [Membership(user=user, project_id=name) for name in project], ignore_conflicts=True
            )
            token = ApiToken.issue(user)
        if not (user.is_staff or user.memberships.exists()):
            self.stderr.write(f"note: {username} belongs to no project yet and sees nothing; --project P adds one")
        self.stdout.write(token)
