from __future__ import annotations

import threading
from collections import Counter
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from alarms.deliveries import lease_due
from alarms.deliveries.leases import LONGEST_LEASE_SECONDS, Leased
from alarms.models import Attempt, Delivery
from tests.support.alarms import make_alarm, transit

pytestmark = pytest.mark.django_db
URL = "https://a.example/hook"


def urls(leased: list[Leased]) -> list[str]:
    return sorted(one.url for one in leased)


def end(leased: Leased) -> None:
    Delivery.objects.filter(pk=leased.delivery_id).update(ended_at=timezone.now())


def test_what_is_leased_is_with_one_holder_until_its_lease_ends() -> None:
    (delivery,) = transit(make_alarm(URL))
    now = timezone.now()
    (leased,) = lease_due(now)
    assert (leased.delivery_id, leased.url, leased.body, leased.number) == (delivery.id, URL, delivery.body, 1)
    assert leased.leased_until == now + timedelta(seconds=60)
    assert lease_due(now + timedelta(seconds=59)) == []
    (again,) = lease_due(now + timedelta(seconds=60))
    assert (again.delivery_id, again.number) == (delivery.id, 2)
    assert again.token != leased.token
    assert list(Attempt.objects.values_list("number", "token", "ended_at")) == [
        (1, leased.token, None),
        (2, again.token, None),
    ]


def test_leases_that_nobody_reports_on_grow_to_a_bound() -> None:
    transit(make_alarm(URL))
    now, lengths = timezone.now(), []
    for _ in range(6):
        (leased,) = lease_due(now)
        lengths.append((leased.leased_until - now).total_seconds())
        now = leased.leased_until
    assert lengths == [60, 120, 240, 240, 240, 240]
    assert LONGEST_LEASE_SECONDS < 300, "a receiver takes a signature for five minutes"


def test_what_is_not_due_yet_or_has_ended_is_left_alone() -> None:
    now = timezone.now()
    transit(make_alarm(URL))
    Delivery.objects.update(due_at=now + timedelta(seconds=1))
    assert lease_due(now) == []
    assert len(lease_due(now + timedelta(seconds=1))) == 1
    Delivery.objects.update(ended_at=now)
    assert lease_due(now + timedelta(days=1)) == []


def test_messages_of_one_alarm_and_url_go_one_after_the_other() -> None:
    alarm = make_alarm(URL, "https://b.example/")
    alarm.actions["ok"] = [URL]
    alarm.save()
    first, beside = transit(alarm, "alarm")
    (second,) = transit(alarm, "ok")
    third, _ = transit(alarm, "alarm")
    now = timezone.now()
    for expected in (first, second, third):
        leased = {one.url: one for one in lease_due(now)}
        assert leased[URL].delivery_id == expected.id
        assert lease_due(now) == []
        end(leased[URL])
        if expected is first:
            assert leased["https://b.example/"].delivery_id == beside.id


def test_one_that_waits_for_its_next_attempt_holds_back_those_behind_it_and_no_others() -> None:
    alarm, other = make_alarm(URL), make_alarm(URL)
    (first,) = transit(alarm)
    transit(alarm)
    (free,) = transit(other)
    now = timezone.now()
    Delivery.objects.filter(pk=first.pk).update(due_at=now + timedelta(hours=4))
    assert [one.delivery_id for one in lease_due(now)] == [free.id]


def test_a_slow_receiver_takes_a_few_places_and_leaves_the_others() -> None:
    for number in range(50):
        transit(make_alarm(f"https://slow.example/{number}"))
    transit(make_alarm("https://fast.example/"))
    transit(make_alarm("https://slow.example/", project_id="meadow"))
    leased = lease_due(timezone.now())
    assert Counter(one.project_id for one in leased) == {"orchard": 9, "meadow": 1}
    assert "https://fast.example/" in urls(leased), "of the same project"
    assert lease_due(timezone.now()) == []


def test_a_project_with_many_slow_receivers_takes_a_few_places() -> None:
    for number in range(50):
        transit(make_alarm(f"https://{number}.slow.example/"))
    transit(make_alarm("https://fast.example/", project_id="meadow"))
    leased = lease_due(timezone.now())
    assert Counter(one.project_id for one in leased) == {"orchard": 16, "meadow": 1}
    end(leased[0])
    assert len(lease_due(timezone.now())) == 1, "as places get free, others get them"


def test_a_receiver_of_many_projects_takes_a_part_and_projects_take_turns() -> None:
    for number in range(10):
        for _ in range(8):
            transit(make_alarm("https://chat.example/", project_id=f"project-{number}"))
    leased = lease_due(timezone.now())
    assert sorted(Counter(one.project_id for one in leased).values()) == [3] * 8 + [4] * 2


def test_all_that_is_out_is_bounded() -> None:
    for number in range(300):
        transit(make_alarm(f"https://{number}.example/", project_id=f"project-{number}"))
    assert len(lease_due(timezone.now())) == 256
    assert lease_due(timezone.now()) == []


def test_two_who_lease_at_once_never_get_the_same(store: None) -> None:
    for number in range(200):
        transit(make_alarm(f"https://{number}.example/", project_id=f"project-{number % 40}"))
    found: list[Leased] = []
    start = threading.Barrier(4)

    def lease() -> None:
        start.wait()
        found.extend(lease_due(timezone.now()))
        connection.close()

    threads = [threading.Thread(target=lease) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    while more := lease_due(timezone.now()):
        found.extend(more)
    assert len(found) == len({one.delivery_id for one in found}) == 200
    assert {one.number for one in found} == {1}
