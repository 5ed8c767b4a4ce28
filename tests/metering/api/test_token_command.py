"""``manage.py token``: one line on standard output, and the user that it promises."""

from __future__ import annotations

import re
from datetime import timedelta
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from metering.management.commands.token import Command
from metering.models import ApiToken


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("token", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def ask(token: str) -> int:
    return Client(headers={"X-Auth-Token": token}).get("/v2/meters").status_code


def test_the_token_stands_alone_on_standard_output_and_works(db):
    out, err = run("alice", "--project", "p1", "--project", "p2")
    assert out.count("\n") == 1
    assert err == ""
    assert ask(out.strip()) == 200
    user = get_user_model().objects.get(username="alice")
    assert {membership.project_id for membership in user.memberships.all()} == {"p1", "p2"}
    assert not user.is_staff
    assert not user.has_usable_password()


def test_a_second_token_leaves_the_first_and_adds_projects(db):
    first, second = run("alice", "--project", "p1")[0], run("alice", "--project", "p1", "--project", "p3")[0]
    assert first != second
    assert ask(first.strip()) == ask(second.strip()) == 200
    assert get_user_model().objects.get(username="alice").memberships.count() == 2


def test_an_operator_may_use_the_admin(db):
    run("boss", "--operator")
    user = get_user_model().objects.get(username="boss")
    assert user.is_staff
    assert user.is_superuser


def test_a_token_of_no_project_comes_with_a_note(db):
    out, err = run("nobody")
    assert ask(out.strip()) == 403
    assert "no project" in err


def test_only_the_digest_is_kept(db):
    out, _ = run("alice", "--project", "p1")
    stored = ApiToken.objects.get()
    assert out.strip() not in {stored.digest, stored.hint}
    assert stored.hint == out[:8]


@pytest.mark.parametrize("arguments", [("",), ("x" * 151,), ("a", "--project", ""), ("a", "--project", "p" * 256)])
def test_names_that_cannot_be_kept_are_refused(db, arguments):
    with pytest.raises(CommandError, match="expected a name"):
        run(*arguments)


def stored(*arguments: str) -> ApiToken:
    return ApiToken.objects.get(digest=ApiToken.digest_of(run(*arguments)[0].strip()))


def test_a_token_may_all_and_for_ever_unless_told_otherwise(db):
    token = stored("alice", "--project", "p1")
    assert (token.scopes, token.projects, token.expires_at) == (["read", "samples", "alarms"], [], None)


def test_a_token_is_limited_as_told(db):
    token = stored("alice", "--project", "p1", "--scope", "read", "--scope", "samples", "--days", "30", "--only")
    assert (token.scopes, token.projects) == (["read", "samples"], ["p1"])
    assert timedelta(days=29) < token.expires_at - timezone.now() < timedelta(days=31)


def test_a_role_is_given_and_changed_only_when_it_is_named(db):
    def role() -> str:
        return get_user_model().objects.get(username="alice").memberships.get(project_id="p1").role

    run("alice", "--project", "p1")
    assert role() == "member"
    run("alice", "--project", "p1", "--role", "reader")
    assert role() == "reader"
    run("alice", "--project", "p1", "--project", "p2")
    assert role() == "reader"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("a", "--days", "0"), "--days 0: expected a whole number"),
        (("a", "--days", "999999999"), "expected a whole number"),
        (("a", "--days", "soon"), "invalid int value: 'soon'"),
        (("a", "--scope", "root"), "invalid choice: 'root'"),
        (("a", "--only"), "name them with --project"),
        (("a", "--role", "reader"), "name them with --project"),
        (("a", "--project", "p1", "--role", "king"), "invalid choice: 'king'"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_makes_nobody(db, arguments, text):
    with pytest.raises(CommandError, match=re.escape(text)):
        run(*arguments)
    assert not get_user_model().objects.exists()


def test_the_help_teaches_by_examples(capsys):
    with pytest.raises(SystemExit):
        Command().create_parser("manage.py", "token").parse_args(["--help"])
    shown = capsys.readouterr().out
    assert "manage.py token alice --scope read --days 30" in shown
    assert "X-Auth-Token: TOKEN" in shown
