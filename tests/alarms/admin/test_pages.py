"""The operators' pages of alarms: every one opens and finds, says what it cannot draw, and does what its buttons say."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from alarms.evaluation.cycle import evaluate_due
from alarms.models import Alarm, AlarmChange, AlarmQuota, Attempt, Delivery, DisabledAction, Schedule, Silence
from alarms.rules.contract import RuleType
from alarms.rules.series import Reading
from alarms.rules.windows import Window
from metering.models.retention import RetentionFloor
from metering.queries.errors import TooExpensive
from tests.alarms.making import make_alarm, threshold_rule
from tests.support.alarms import transit
from tests.support.samples import make_sample, store_samples

LISTS = ("alarm", "alarmchange", "delivery", "disabledaction", "silence", "alarmquota")
EVIL = "<b>evil</b>"


@pytest.fixture
def pages(db):
    client = Client()
    client.force_login(get_user_model().objects.create_user("operator", is_staff=True))
    return client


def shown(pages, path):
    answer = pages.get(f"/admin/alarms/{path}", follow=True)
    assert answer.status_code == 200, path
    return answer.content.decode()


def page_of(pages, alarm):
    return shown(pages, f"alarm/{alarm.pk}/change/")


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page))


@pytest.fixture
def minute():
    """The last full minute: when evaluators have looked."""
    return timezone.now().replace(second=0, microsecond=0)


def put(minute, *volumes, **fields):
    """One sample in the middle of each of the last minutes that evaluators look at; None for none."""
    end_at = minute - timedelta(seconds=10)
    store_samples(
        [
            make_sample(
                timestamp=end_at - timedelta(seconds=60 * (len(volumes) - number) - 30), volume=volume, **fields
            )
            for number, volume in enumerate(volumes)
            if volume is not None
        ]
    )


def fill():
    """Something in every list, with markup in whatever is text."""
    alarm = make_alarm(name=EVIL, description=EVIL, actions={"alarm": [f"https://receiver.example/{EVIL}"]})
    (delivery,) = transit(alarm, reason=EVIL)
    now = timezone.now()
    Attempt.objects.create(
        delivery=delivery, number=1, token="the-token", begun_at=now, ended_at=now, status=500, outcome=EVIL
    )
    DisabledAction.objects.create(alarm_id=alarm.pk, url=f"https://receiver.example/{EVIL}", reason=EVIL)
    Silence.objects.create(project_id="p1", starts_at=now, ends_at=now, user_id=EVIL, comment=EVIL)
    AlarmQuota.objects.create(project_id="p1", limit=3)
    return alarm


@pytest.mark.parametrize("name", LISTS)
def test_every_list_opens_full_and_empty_and_survives_any_search(pages, name):
    shown(pages, f"{name}/")
    alarm = fill()
    for term in ("", "p1", EVIL, str(uuid4()), str(alarm.pk), "%00", "%27;--", "9" * 300):
        assert EVIL not in shown(pages, f"{name}/?q={term}")


def test_every_record_opens_and_escapes_what_it_shows(pages):
    alarm = fill()
    change, delivery, silence = AlarmChange.objects.get(), Delivery.objects.get(), Silence.objects.get()
    action = DisabledAction.objects.get()
    for path in (f"alarm/{alarm.pk}", f"alarmchange/{change.pk}", f"delivery/{delivery.pk}", f"disabledaction/{action.pk}",
                 f"silence/{silence.pk}", "alarmquota/p1"):  # fmt: skip
        page = shown(pages, f"{path}/change/")
        assert EVIL not in page
        assert "the-token" not in page
    assert "&lt;b&gt;evil&lt;/b&gt;" in shown(pages, f"delivery/{delivery.pk}/change/")


def test_rows_of_an_alarm_that_is_gone_still_open(pages):
    alarm = fill()
    Alarm.objects.all().delete()
    for name, row in (("alarmchange", AlarmChange.objects.get()), ("delivery", Delivery.objects.get())):
        assert f"{alarm.pk}, which is gone" in shown(pages, f"{name}/")
        assert f"{alarm.pk}, which is gone" in shown(pages, f"{name}/{row.pk}/change/")


def test_customers_do_not_get_in(db):
    client = Client()
    client.force_login(get_user_model().objects.create_user("customer"))
    for name in LISTS:
        assert client.get(f"/admin/alarms/{name}/").status_code == 302


@pytest.mark.parametrize("name", ["alarm", "alarmchange", "delivery", "disabledaction"])
def test_what_happened_cannot_be_changed_or_deleted(pages, name):
    fill()
    model = {"alarm": Alarm, "alarmchange": AlarmChange, "delivery": Delivery, "disabledaction": DisabledAction}[name]
    row = model.objects.get()
    assert pages.get(f"/admin/alarms/{name}/add/").status_code == 403
    assert pages.get(f"/admin/alarms/{name}/{row.pk}/delete/").status_code == 403
    assert pages.post(f"/admin/alarms/{name}/{row.pk}/change/", {"name": "x", "state": "ok"}).status_code == 403


def found(page):
    return re.findall(r'field-name">.*?>([^<]*)</a>', page)


def test_alarms_are_found_by_id_project_name_and_what_is_wrong_with_them(pages):
    busy, idle = make_alarm(name="very busy", state="alarm"), make_alarm(name="idle", project_id="p2")
    Schedule.objects.create(alarm=busy, due_at=timezone.now() - timedelta(hours=2))
    Schedule.objects.create(alarm=idle, due_at=timezone.now() + timedelta(minutes=1))
    for query in (f"q={busy.pk}", "q=p1", "q=BUSY", "state=alarm", "evaluation=overdue"):
        assert found(shown(pages, f"alarm/?{query}")) == ["very busy"], query


def test_the_list_says_how_far_evaluators_are_behind(pages):
    alarms = [make_alarm(name=f"a{n}", enabled=n < 3) for n in range(4)] + [make_alarm(name="e", type="event", rule={})]
    for hours, alarm in enumerate(alarms, 1):
        Schedule.objects.create(alarm=alarm, due_at=timezone.now() - timedelta(hours=hours, minutes=5, seconds=1))
    page = words(shown(pages, "alarm/"))
    assert "3 alarms are overdue by more than a cycle, the oldest by 3 h 5 min." in page
    Schedule.objects.update(due_at=timezone.now() - timedelta(seconds=5))
    assert "Evaluators keep up: no alarm is overdue" in words(shown(pages, "alarm/"))


def test_a_list_asks_as_much_for_many_alarms_as_for_one(pages):
    def count():
        with CaptureQueriesContext(connection) as queries:
            shown(pages, "alarm/")
            shown(pages, "alarmchange/")
        return len(queries)

    fill()
    count()
    few = count()
    for number in range(10):
        alarm = make_alarm(name=f"a{number}")
        Schedule.objects.create(alarm=alarm, due_at=timezone.now())
        transit(alarm)
    assert count() == few


def test_a_page_draws_the_values_that_the_evaluator_saw_the_threshold_and_the_transitions(pages, minute):
    alarm = make_alarm(threshold_rule(resource="r1", recovery_threshold=70))
    put(minute, 12.5, 91.25, None, 40, resource="r1")
    put(minute, 1, 2, 3, 4, resource="r2")
    put(minute, 5, 5, 5, 5, resource="r1", project="p2")
    evaluate_due(minute - timedelta(minutes=2))
    Schedule.objects.update(due_at=minute)
    evaluate_due(minute)
    page = page_of(pages, alarm)
    assert re.findall(r"<circle[^>]*><title>[^<]*: (\S+) of (\d) samples", page) == [
        ("12.5", "1"),
        ("91.25", "1"),
        ("40", "1"),
    ]
    assert "alarm: &gt; 80" in page
    assert "recovery: 70" in page
    assert "avg of cpu_util each 60 s, where resource_id = r1" in page
    assert "alarm: Transition to alarm due to 1 samples outside threshold, most recent: 91.25" in page
    assert "ok: Transition to ok due to 1 samples inside threshold, most recent: 40" in page
    bands = re.findall(r'fill-opacity="0.16"><title>([a-z ]+):', page)
    assert bands == ["alarm", "ok"]


def test_a_chart_begins_where_samples_are_still_kept(pages, minute):
    alarm = make_alarm(threshold_rule())
    put(minute, 1, 2, 3, 4)
    RetentionFloor.objects.update_or_create(
        subject="samples.standard", defaults={"floor_at": minute - timedelta(minutes=3)}
    )
    page = page_of(pages, alarm)
    assert re.findall(r"<title>[^<]*: (\S+) of \d samples", page) == ["3", "4"]


def test_a_composite_has_a_chart_for_each_of_its_rules(pages, minute):
    leaves = [threshold_rule(type="threshold", meter_name=name) for name in ("cpu_util", "memory", "nothing")]
    alarm = make_alarm({"or": [leaves[0], {"and": leaves[1:]}]}, type="composite")
    put(minute, 1)
    put(minute, 2, meter="memory")
    page = page_of(pages, alarm)
    assert re.findall(r"<b>(rule\d: avg of \w+)", page) == [
        "rule1: avg of cpu_util",
        "rule2: avg of memory",
        "rule3: avg of nothing",
    ]
    assert len(re.findall("<circle", page)) == 2
    assert words(page).count("No data in this time.") == 1


def test_an_anomaly_shows_what_would_be_usual(pages, minute):
    rule = {"meter_name": "cpu_util", "statistic": "avg", "period": 60, "query": [], "weeks": 2, "deviations": 1.0}
    alarm = make_alarm(rule, type="anomaly")
    put(minute, 50)
    put(minute - timedelta(days=7), 10)
    put(minute - timedelta(days=14), 20)
    assert "usual: 10 – 20" in page_of(pages, alarm)


def test_a_type_from_elsewhere_is_drawn_by_what_it_reads(pages, minute, monkeypatch):
    class Moon:
        def readings(self, rule, end_at):
            return [Reading("cpu_util", "max", [], Window(end_at, 60, 2))]

    kind = RuleType("moon", lambda body, path: body, str, evaluation=Moon())
    monkeypatch.setattr("alarms.rules.alarm_types.rule_types", lambda: {"moon": kind})
    put(minute, 3, 7)
    page = page_of(pages, make_alarm({"side": "dark"}, type="moon"))
    assert re.findall(r"<title>[^<]*: (\S+) of \d samples", page) == ["3", "7"]


def test_an_alarm_about_events_shows_its_hits_alone(pages):
    alarm = make_alarm({"event_type": "*", "query": []}, type="event")
    assert "No event has set it off in the last 7 days." in page_of(pages, alarm)
    transit(alarm, reason="Event hits")
    transit(alarm, "ok", reason="by hand")
    page = page_of(pages, alarm).split("What happened")[0]
    assert "alarm: Event hits" in page
    assert "by hand" not in page


def test_a_combination_shows_its_states(pages):
    alarm = make_alarm({"operator": "and", "alarm_ids": []}, type="combination")
    assert "No change of the state in the last 7 days." in page_of(pages, alarm)
    transit(alarm, reason="of others")
    assert "alarm: of others" in page_of(pages, alarm)


@pytest.mark.parametrize(
    ("type_name", "rule", "said"),
    [
        ("threshold", threshold_rule(), "No data in this time."),
        ("threshold", {"meter_name": "m"}, "It cannot be drawn: KeyError"),
        ("threshold", threshold_rule(query=[{"field": "metadata.x", "value": "many", "type": "integer"}]), "Unable to convert the value"),
        ("gnocchi_resources_threshold", {"aggregation_method": "rate:count", "metric": "m", "resource_id": "r", "granularity": 60},
         "The aggregation method rate:count is not evaluated here."),
        ("composite", {"nor": []}, "No change of the state"),
        ("prometheus", {"query": "up"}, "No change of the state"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_said_in_words(pages, type_name, rule, said):
    assert said in words(page_of(pages, make_alarm(rule, type=type_name)))


def test_a_series_that_takes_too_long_is_said_in_words(pages, minute, monkeypatch):
    put(minute, 1)

    def give_up(*args, **options):
        raise TooExpensive("The answer took longer than 20 s to compute.", value=20)

    monkeypatch.setattr("alarms.evaluation.reading.compute", give_up)
    page = words(page_of(pages, make_alarm()))
    assert "The series cannot be read: The answer took longer than 20 s to compute." in page


def act(pages, name, action, *rows):
    return words(
        pages.post(
            f"/admin/alarms/{name}/", {"action": action, "_selected_action": [row.pk for row in rows]}, follow=True
        ).content.decode()
    )


def test_a_delivery_that_was_given_up_is_sent_again_with_its_attempts(pages):
    fill()
    delivery = Delivery.objects.get()
    assert "have not ended yet" in act(pages, "delivery", "send_again", delivery)
    Delivery.objects.update(state="failed", ended_at=timezone.now())
    assert "1 of 1 are told once more" in act(pages, "delivery", "send_again", delivery)
    delivery.refresh_from_db()
    assert (delivery.state, delivery.ended_at, delivery.attempts.count()) == ("waiting", None, 1)
    assert not DisabledAction.objects.exists()


def test_a_disabled_action_is_enabled(pages):
    fill()
    assert "1 actions enabled" in act(pages, "disabledaction", "enable", DisabledAction.objects.get())
    assert not DisabledAction.objects.exists()


def test_operators_set_and_lift_quotas(pages):
    make_alarm()
    assert pages.post("/admin/alarms/alarmquota/add/", {"project_id": "p1", "limit": "5"}).status_code == 302
    assert pages.post("/admin/alarms/alarmquota/p1/change/", {"limit": "7"}).status_code == 302
    assert AlarmQuota.objects.get().limit == 7
    for wrong in ("-2", "x", str(2**31)):
        assert pages.post("/admin/alarms/alarmquota/p1/change/", {"limit": wrong}).status_code == 200
    assert AlarmQuota.objects.get().limit == 7
    assert re.search(r'field-alarm_count">1<', shown(pages, "alarmquota/"))
    pages.post("/admin/alarms/alarmquota/p1/delete/", {"post": "yes"})
    assert not AlarmQuota.objects.exists()


def silence(**fields):
    return {"project_id": "p1", "alarm_id": "", "name": "cpu*", "severity": "", "comment": "", "starts_at_0": "2026-01-01",
            "starts_at_1": "10:00", "ends_at_0": "2026-01-01", "ends_at_1": "11:00", **fields}  # fmt: skip


def test_operators_silence_a_project_under_their_name(pages):
    assert pages.post("/admin/alarms/silence/add/", silence()).status_code == 302
    made = Silence.objects.get()
    assert (made.user_id, made.name, made.ends_at - made.starts_at) == ("operator", "cpu*", timedelta(hours=1))
    assert pages.post(f"/admin/alarms/silence/{made.pk}/change/", silence(ends_at_1="10:30")).status_code == 302
    assert (
        "It ends before it starts."
        in pages.post("/admin/alarms/silence/add/", silence(ends_at_1="09:00")).content.decode()
    )
    assert Silence.objects.count() == 1
