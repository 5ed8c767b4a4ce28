"""Logging in: passwords cannot be guessed, and whoever has to wait is told for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest
from axes.models import AccessAttempt
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

PAGES = ("/login/", "/admin/login/")


@pytest.fixture
def person(db, settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return get_user_model().objects.create_user("person", password="right", is_staff=True)


def log_in(page, password, *, username="person", **options):
    return Client().post(page, {"username": username, "password": password}, **options)


def fail(page, times=5, **options):
    return [log_in(page, f"wrong {number}", **options).status_code for number in range(times)]


@pytest.mark.parametrize("page", PAGES)
def test_a_right_password_logs_in(person, page):
    assert log_in(page, "right").status_code == 302


@pytest.mark.parametrize("page", PAGES)
def test_after_five_wrong_passwords_even_the_right_one_has_to_wait(person, page):
    assert fail(page) == [200, 200, 200, 200, 429]
    answer = log_in(page, "right")
    assert answer.status_code == 429
    assert "Too many failed logins: try again in 10 minutes, or ask an operator." in answer.content.decode()
    assert 590 < int(answer["Retry-After"]) <= 600
    assert "sessionid" not in answer.cookies


def test_both_doors_have_one_lock(person):
    assert fail("/login/", 3) + fail("/admin/login/", 2) == [200, 200, 200, 200, 429]
    assert [log_in(page, "right").status_code for page in PAGES] == [429, 429]


def test_the_wait_ends_by_itself_and_asking_meanwhile_does_not_prolong_it(person):
    fail("/login/")
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=9, seconds=30))
    assert "try again in a minute" in log_in("/login/", "right").content.decode()
    AccessAttempt.objects.update(attempt_time=timezone.now() - timedelta(minutes=10, seconds=1))
    assert log_in("/login/", "right").status_code == 302


def test_a_guesser_elsewhere_keeps_nobody_out(person):
    fail("/login/", REMOTE_ADDR="203.0.113.9")
    assert log_in("/login/", "right", REMOTE_ADDR="203.0.113.9").status_code == 429
    assert log_in("/login/", "right").status_code == 302


def test_another_browser_is_no_new_chance(person):
    assert fail("/login/", 4) == [200] * 4
    assert log_in("/login/", "wrong", headers={"User-Agent": "another"}).status_code == 429


def test_a_success_forgets_the_failures_before_it(person):
    assert fail("/login/", 4) == [200] * 4
    assert log_in("/login/", "right").status_code == 302
    assert fail("/login/", 4) == [200] * 4


def test_users_that_do_not_exist_look_like_others(person):
    assert fail("/login/", username="nobody") == [200, 200, 200, 200, 429]


def test_no_password_is_kept(person):
    log_in("/login/", "hunter2hunter2")
    attempt = AccessAttempt.objects.get()
    assert "hunter2" not in attempt.post_data + attempt.get_data


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("username", ["a\x00b", "x" * 500, "é" * 100, ""])
def test_odd_user_names_are_wrong_user_names(person, page, username):
    assert log_in(page, "x", username=username).status_code == 200


def test_a_name_that_nobody_can_have_is_answered_like_a_wrong_one(person):
    assert "Please enter a correct username and password" in log_in("/login/", "x", username="x" * 500).content.decode()
