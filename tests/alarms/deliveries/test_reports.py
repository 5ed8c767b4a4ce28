from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from alarms.deliveries import lease_due, report, send_again
from alarms.deliveries.leases import Leased
from alarms.deliveries.tasks import take_report
from alarms.models import AlarmChange, Attempt, Delivery, DisabledAction
from alarms.notifiers.contract import BadReport, Outcome
from tests.support.alarms import make_alarm, transit

pytestmark = pytest.mark.django_db
URL = "https://a.example/hook"
DELIVERED = Outcome("delivered", "answered 200 OK", 200, None, 12)
FAILED = Outcome("failed", "answered 500 Internal Server Error", 500, None, 12)


@pytest.fixture
def now() -> datetime:
    return timezone.now()


def tell(leased: Leased, outcome: Outcome, now: datetime) -> bool:
    return report(leased.delivery_id, leased.number, leased.token, outcome, now)


@pytest.fixture
def leased(now: datetime) -> Leased:
    transit(make_alarm(URL))
    (leased,) = lease_due(timezone.now())
    return leased


def test_a_delivery_ends_when_its_receiver_has_it(leased: Leased, now: datetime) -> None:
    assert tell(leased, DELIVERED, now)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.ended_at, delivery.leased_until) == ("delivered", now, None)
    attempt = Attempt.objects.get()
    assert (attempt.ended_at, attempt.status, attempt.outcome, attempt.duration_ms) == (now, 200, "answered 200 OK", 12)


def test_a_failure_is_tried_again_later_and_later(leased: Leased) -> None:
    at, pauses = timezone.now(), []
    for _ in range(4):
        assert tell(leased, FAILED, at)
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.ended_at) == ("waiting", None)
        pauses.append((delivery.due_at - at).total_seconds())
        assert lease_due(delivery.due_at - timedelta(milliseconds=1)) == []
        at = delivery.due_at
        (leased,) = lease_due(at)
    for pause, expected in zip(pauses, (10, 60, 300, 900), strict=True):
        assert expected <= pause <= 1.25 * expected


def test_a_receiver_that_never_answers_is_given_up(leased: Leased, now: datetime) -> None:
    at = now
    while Delivery.objects.get().ended_at is None:
        tell(leased, FAILED, at)
        delivery = Delivery.objects.get()
        if delivery.ended_at is None:
            at = delivery.due_at
            (leased,) = lease_due(at)
    assert delivery.state == "failed"
    assert at - now >= timedelta(hours=24)
    assert Attempt.objects.count() <= 14


def test_retry_after_is_heeded(leased: Leased, now: datetime) -> None:
    tell(leased, FAILED._replace(status=429, retry_after_seconds=1800), now)
    assert Delivery.objects.get().due_at == now + timedelta(seconds=1800)


def test_a_retry_after_of_years_is_cut(leased: Leased, now: datetime) -> None:
    tell(leased, FAILED._replace(retry_after_seconds=1e8), now)
    assert Delivery.objects.get().due_at == now + timedelta(hours=4)


def test_what_is_gone_is_told_nothing_more_and_the_history_says_so(now: datetime) -> None:
    alarm = make_alarm(URL, "https://b.example/")
    transit(alarm)
    transit(alarm)
    other = make_alarm(URL)
    leased = next(one for one in lease_due(timezone.now()) if one.url == URL)
    tell(leased, Outcome("gone", "answered 410 Gone: it is told nothing more", 410), now)
    assert list(Delivery.objects.filter(url=URL).values_list("state", flat=True)) == ["failed", "failed"]
    assert Delivery.objects.filter(url="https://b.example/", ended_at=None).count() == 2
    change = AlarmChange.objects.get(type="action disabled")
    assert (change.alarm_id, change.on_behalf_of) == (alarm.id, "orchard")
    assert change.detail == {"url": URL, "reason": "answered 410 Gone: it is told nothing more"}
    assert [one.url for one in transit(alarm)] == ["https://b.example/"]
    assert len(transit(other)) == 1


def test_what_cannot_be_told_is_given_up_at_once(leased: Leased, now: datetime) -> None:
    tell(leased, Outcome("impossible", "not called: expected http://… or https://…"), now)
    assert Delivery.objects.get().state == "failed"
    assert not DisabledAction.objects.exists()


def test_a_report_counts_once(leased: Leased, now: datetime) -> None:
    assert tell(leased, FAILED, now)
    due_at = Delivery.objects.get().due_at
    for outcome in (FAILED, DELIVERED, Outcome("gone", "forged")):
        assert not tell(leased, outcome, now + timedelta(seconds=5))
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.due_at, delivery.failure_count) == ("waiting", due_at, 1)


@pytest.mark.parametrize(
    "forge", [{"token": "x"}, {"token": ""}, {"number": 2}, {"number": 0}, {"delivery_id": uuid4()}, {"token": "ä"}]
)
def test_a_forged_report_changes_nothing(leased: Leased, now: datetime, forge: dict) -> None:
    before = (Delivery.objects.values().get(), Attempt.objects.values().get())
    assert not tell(leased._replace(**forge), DELIVERED, now)
    assert (Delivery.objects.values().get(), Attempt.objects.values().get()) == before


def test_a_token_of_one_delivery_is_none_of_another(now: datetime) -> None:
    transit(make_alarm(URL))
    transit(make_alarm("https://b.example/"))
    one, other = lease_due(timezone.now())
    assert not tell(one._replace(token=other.token), DELIVERED, now)
    assert Delivery.objects.filter(ended_at=None).count() == 2


def test_a_late_success_ends_what_would_be_told_again(leased: Leased) -> None:
    late = leased.leased_until + timedelta(seconds=1)
    (again,) = lease_due(late)
    assert tell(leased, DELIVERED, late)
    assert Delivery.objects.get().state == "delivered"
    assert tell(again, FAILED, late), "it is recorded"
    assert Delivery.objects.get().state == "delivered"
    assert Attempt.objects.exclude(ended_at=None).count() == 2


def test_a_late_failure_leaves_the_newer_attempt_its_lease(leased: Leased) -> None:
    late = leased.leased_until + timedelta(seconds=1)
    (again,) = lease_due(late)
    assert tell(leased, FAILED, late)
    delivery = Delivery.objects.get()
    assert (delivery.state, delivery.leased_until) == ("leased", again.leased_until)


def test_a_report_makes_the_next_lease_short_again(leased: Leased) -> None:
    (again,) = lease_due(leased.leased_until)
    tell(again, FAILED, leased.leased_until)
    at = Delivery.objects.get().due_at
    (next_one,) = lease_due(at)
    assert next_one.leased_until == at + timedelta(seconds=60)


def test_what_failed_can_be_sent_again(leased: Leased, now: datetime) -> None:
    assert not send_again(leased.delivery_id, now), "it is under way"
    tell(leased, Outcome("gone", "answered 410 Gone", 410), now)
    assert send_again(leased.delivery_id, now)
    (again,) = lease_due(now)
    assert (again.delivery_id, again.body, again.number) == (leased.delivery_id, leased.body, 2)
    assert not DisabledAction.objects.exists()
    tell(again, FAILED, now)
    assert Delivery.objects.get().state == "waiting", "with all its attempts"


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["delivered", "gone"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(Outcome._fields), inner, max_size=5),
    max_leaves=8,
)


@given(json_values | st.fixed_dictionaries(dict.fromkeys(Outcome._fields, json_values)))
def test_whatever_claims_to_be_an_outcome_is_one_or_is_refused(raw: object) -> None:
    try:
        outcome = Outcome.from_json(raw)
    except BadReport:
        return
    assert outcome.kind in ("delivered", "failed", "gone", "impossible")
    assert "\x00" not in outcome.text and len(outcome.text) <= 500
    # As much as a column holds.
    assert (outcome.duration_ms or 0) < 2**31 and (outcome.status or 0) < 2**31


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense", 1, "token", DELIVERED._asdict()),
        (7, 1, "token", DELIVERED._asdict()),
        (str(uuid4()), "x", "token", DELIVERED._asdict()),
        (str(uuid4()), [], "token", DELIVERED._asdict()),
        (str(uuid4()), 10**30, "token", DELIVERED._asdict()),
        (str(uuid4()), 1, None, DELIVERED._asdict()),
        (str(uuid4()), 1, "\x00", DELIVERED._asdict()),
        (str(uuid4()), 1, "token", {"kind": "delivered"}),
        (str(uuid4()), 1, "token", None),
    ],
)
def test_nonsense_on_the_reports_queue_is_dropped(leased: Leased, arguments: tuple) -> None:
    take_report(*arguments)
    assert Delivery.objects.get().state == "leased"
