"""``manage.py token USERNAME``: print a new API token, and nothing else, on standard output."""

from __future__ import annotations

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import timedelta
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from metering.models import ApiToken, Membership, Role, TokenScope

__all__ = ["Command"]

_LONGEST_DAYS = 36_600
_EXAMPLES = """examples:
  manage.py token alice --project p1                    sees project p1 and posts samples into it
  manage.py token alice --scope read --days 30          may only read, for thirty days
  manage.py token shop --project p1 --project p2 --only sees these two, whatever shop is let into later
  manage.py token auditor --project p1 --role reader    sees p1; nothing can be posted by any of auditor's tokens
  manage.py token billing --operator --scope read       reads everything, of all projects

A token is sent as `X-Auth-Token: TOKEN` or `Authorization: Token TOKEN`. Tokens are listed and revoked in /admin/.
"""


class Command(BaseCommand):
    help = "Print a new API token of a user, who is created if missing. It is shown this once: only its digest is kept."

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(
            prog_name, subcommand, epilog=_EXAMPLES, formatter_class=RawDescriptionHelpFormatter, **kwargs
        )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument(
            "--project", action="append", default=[], metavar="P", help="let the user into this project too; repeatable"
        )
        parser.add_argument(
            "--role",
            choices=Role.values,
            help="the user's role in these projects: a reader sees data, a member also posts samples (default: member; "
            "who is in a project already keeps the role there)",
        )
        parser.add_argument("--operator", action="store_true", help="let the user see everything, and use the admin")
        parser.add_argument(
            "--scope",
            action="append",
            choices=TokenScope.values,
            help="what this token may be used for; repeatable (default: all that the user may do)",
        )
        parser.add_argument("--days", type=int, metavar="N", help="let the token expire (default: when it is revoked)")
        parser.add_argument(
            "--only", action="store_true", help="limit this token to the projects named here, for operators too"
        )

    def handle(
        self,
        *,
        username: str,
        project: list[str],
        role: str | None,
        operator: bool,
        scope: list[str] | None,
        days: int | None,
        only: bool,
        **options: Any,
    ) -> None:
        for name, longest in ((username, 150), *((name, 255) for name in project)):
            if not name.strip() or "\x00" in name or len(name) > longest:
                raise CommandError(f"{name[:80]!r}: expected a name of 1 to {longest} characters")
        if days is not None and not 1 <= days <= _LONGEST_DAYS:
            raise CommandError(f"--days {days}: expected a whole number of 1 to {_LONGEST_DAYS}")
        if (only or role) and not project:
            raise CommandError(f"--{'only' if only else 'role'} is about projects: name them with --project")
        with transaction.atomic():
            user = _find_or_make(username, operator=operator)
            _let_in(user, project, role=role)
            token = ApiToken.issue(
                user,
                scopes=scope or TokenScope.values,
                projects=project if only else (),
                expires_at=None if days is None else timezone.now() + timedelta(days=days),
            )
        if not (user.is_staff or user.memberships.exists()):
            self.stderr.write(f"note: {username} belongs to no project yet and sees nothing; --project P adds one")
        self.stdout.write(token)


def _find_or_make(username: str, *, operator: bool) -> Any:
    user, created = get_user_model().objects.get_or_create(username=username)
    if created:
        # No password: the user can log in only after an operator sets one.
        user.set_unusable_password()
    if operator:
        user.is_staff = user.is_superuser = True
    if created or operator:
        user.save()
    return user


def _let_in(user: Any, projects: list[str], *, role: str | None) -> None:
    for name in projects:
        membership, created = Membership.objects.get_or_create(
            user=user, project_id=name, defaults={"role": role or Role.MEMBER}
        )
        if role and not created:
            membership.role = role
            membership.save(update_fields=["role"])
