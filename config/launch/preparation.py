"""Everything that a start needs from Django, in one process of its own: `python -m config.launch.preparation`.

Migrates the store, makes and enrols the node's key, makes partitions, and sees to an operator's token and an
administrator. Each step may be repeated. Prints one JSON object for the supervisor; the commands' own words go
to standard error.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

from config import env
from config.launch.home import Home

OPERATOR = "operator"
ADMINISTRATOR = "admin"


def prepare(home: Home) -> dict[str, float]:
    """Bring store and keys to the state that the roles expect, and say what was done and how many seconds it took."""
    seconds: dict[str, float] = {}
    with _timed(seconds, "store migrated"):
        _call("migrate", interactive=False, verbosity=0)
    with _timed(seconds, "node enrolled"):
        _enroll_node()
    with _timed(seconds, "partitions made"):
        _call("housekeep")
    with _timed(seconds, "access prepared"):
        _keep_token(home)
        _make_administrator(home)
    return seconds


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begun = time.monotonic()
    yield
    seconds[name] = time.monotonic() - begun


def _call(command: str, *arguments: str, **options: object) -> str:
    from django.core.management import call_command

    output = StringIO()
    call_command(command, *arguments, stdout=output, stderr=sys.stderr, **options)
    return output.getvalue()


def _enroll_node() -> None:
    from agents.keys import load_or_create, public_path

    key = Path(env.text("CELOMETER_AGENT_KEY", str(env.home() / "agent" / "key.pem")))
    load_or_create(key)
    _call("enroll", env.node(), "--public-key", str(public_path(key)))


def _keep_token(home: Home) -> None:
    """The same token from run to run, as long as the store knows it."""
    from metering.models import ApiToken

    try:
        token = home.token_file.read_text().strip()
    except FileNotFoundError:
        token = ""
    if token and ApiToken.objects.filter(digest=ApiToken.digest_of(token), revoked_at=None).exists():
        return
    token = _call("token", OPERATOR, "--operator").split()[-1]
    home.write_private(home.token_file, token + "\n")


def _make_administrator(home: Home) -> None:
    """Somebody who can log into the admin, where nobody can yet; the password is kept in the home."""
    from django.contrib.auth import get_user_model

    users = get_user_model()._default_manager
    if any(user.has_usable_password() for user in users.filter(is_superuser=True)):
        return
    password = secrets.token_urlsafe(12)
    user, _ = users.get_or_create(username=ADMINISTRATOR)
    user.is_staff = user.is_superuser = True
    user.set_password(password)
    user.save()
    home.write_private(home.admin_password_file, password + "\n")


def main() -> None:
    os.environ["CELOMETER_SETTINGS"] = "server"
    env.select_settings()
    import django

    try:
        django.setup()
    except env.BadSetting as error:
        sys.exit(str(error))
    from django.core.management import CommandError
    from django.db import Error as DatabaseError

    from agents.keys import BadKeyFile

    try:
        print(json.dumps(prepare(Home(env.home()))))
    except (CommandError, BadKeyFile) as error:
        sys.exit(str(error))
    except DatabaseError as error:
        sys.exit(f"the store does not do as asked: {error}")


if __name__ == "__main__":
    main()
