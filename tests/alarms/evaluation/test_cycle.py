"""From samples to a state, its history and what is to be told, through the store."""

from __future__ import annotations

from datetime import timedelta

import pytest

from alarms.evaluation import cycle
from alarms.evaluation.cycle import evaluate_due
from alarms.models import Alarm, AlarmChange, Delivery, Schedule
from metering.models.retention import RetentionFloor
from metering.queries.database import Statement
from metering.statistics import engine
from tests.alarms.making import make_alarm, threshold_rule
from tests.support.samples import at, make_sample, store_samples

NOON = at("2016-01-05T12:00:00")
LAG = timedelta(seconds=10)


def put(*volumes, until=NOON, step=60, **fields):
    """Samples a minute apart, the last one half a minute before ``until``."""
    count = len(volumes)
    store_samples(
        [
            make_sample(timestamp=until - timedelta(seconds=30 + step * (count - 1 - n)), volume=volume, **fields)
            for n, volume in enumerate(volumes)
            if volume is not None
        ]
    )


def evaluate(now=NOON):
    """At a moment when everything up to it is looked at."""
    return evaluate_due(now + LAG)


def test_an_alarm_goes_to_alarm_and_back_and_tells_so_once(db):
    alarm = make_alarm(threshold_rule(evaluation_periods=3, resource="r1"))
    put(91, 92, 93, resource="r1")
    put(1, 2, 3, resource="r2")
    assert evaluate().fired == 1
    alarm.refresh_from_db()
    assert alarm.state == "alarm"
    assert alarm.state_reason == "Transition to alarm due to 3 samples outside threshold, most recent: 93"
    assert alarm.state_at == NOON + LAG
    later = NOON + timedelta(minutes=4)
    put(10, 20, 30, until=later)
    assert evaluate(later).fired == 1
    assert evaluate(later).alarms == 0
    assert evaluate(later + timedelta(minutes=1)).fired == 0
    states = [(change.type, change.detail["state"]) for change in AlarmChange.objects.order_by("recorded_at")]
    assert states == [("state transition", "alarm"), ("state transition", "ok")]
    told = Delivery.objects.order_by("number").values_list("url", flat=True)
    assert list(told) == ["https://receiver.example/alarm", "https://receiver.example/ok"]


def test_without_samples_an_alarm_has_insufficient_data(db):
    alarm = make_alarm(state="ok")
    evaluate()
    alarm.refresh_from_db()
    assert (alarm.state, alarm.state_reason) == ("insufficient data", "1 datapoints are unknown")


def test_an_alarm_is_due_again_on_the_grid(db):
    alarm = make_alarm()
    evaluate(NOON + timedelta(seconds=17))
    schedule = Schedule.objects.get(alarm=alarm)
    assert schedule.due_at == NOON + timedelta(minutes=1)
    assert schedule.claimed_until is None


@pytest.mark.parametrize("fields", [{"enabled": False}, {"type": "event"}])
def test_disabled_alarms_and_those_of_events_are_not_evaluated(db, fields):
    make_alarm(state="ok", **fields)
    assert evaluate().alarms == 0
    assert Alarm.objects.get().state == "ok"


def test_an_alarm_sees_the_samples_of_its_project_alone_whatever_its_rule_says(db):
    own = make_alarm(threshold_rule())
    other = make_alarm(threshold_rule(query=[{"field": "project_id", "op": "eq", "value": "p2"}]))
    operators = make_alarm(threshold_rule(), project_id="")
    put(99, project="p2", resource="r2")
    evaluate()
    states = [Alarm.objects.get(pk=alarm.pk).state for alarm in (own, other, operators)]
    assert states == ["insufficient data", "insufficient data", "alarm"]


def state_of(alarm):
    return Alarm.objects.get(pk=alarm.pk).state


def test_outside_its_time_constraints_an_alarm_stays_as_it_is_and_has_had_its_turn(db):
    constraint = {"name": "night", "start": "0 23 * * *", "duration": 3600, "timezone": "", "description": ""}
    alarm = make_alarm(state="ok", time_constraints=[constraint], repeat_actions=True)
    assert evaluate() == (1, 0, True)
    assert state_of(alarm) == "ok"
    assert evaluate().alarms == 0
    night = NOON.replace(hour=23, minute=30)
    assert evaluate(night).fired == 1
    assert state_of(alarm) == "insufficient data"


def test_repeated_actions_are_told_each_cycle_without_history(db):
    alarm = make_alarm(threshold_rule(), repeat_actions=True)
    for minute in range(3):
        put(91, until=NOON + timedelta(minutes=minute))
        assert evaluate(NOON + timedelta(minutes=minute)).fired == 1
    assert state_of(alarm) == "alarm"
    assert AlarmChange.objects.count() == 1
    assert Delivery.objects.count() == 3
    assert Alarm.objects.get().state_at == NOON + LAG
    assert "Transition to alarm" in Alarm.objects.get().state_reason


def test_a_combination_is_decided_after_its_members_in_the_same_cycle(db):
    high = make_alarm(threshold_rule())
    missing = make_alarm(threshold_rule(meter_name="nothing"))
    inner = make_alarm({"operator": "or", "alarm_ids": [str(high.id), str(missing.id)]}, type="combination")
    outer = make_alarm({"operator": "and", "alarm_ids": [str(inner.id), str(high.id)]}, type="combination")
    put(91)
    evaluate()
    assert (state_of(inner), state_of(outer)) == ("alarm", "alarm")
    assert Alarm.objects.get(pk=outer.pk).state_reason == (
        f"Transition to alarm due to alarms {inner.id},{high.id} in state alarm"
    )


def test_a_combination_does_not_see_the_alarms_of_other_projects(db):
    other = make_alarm(threshold_rule(), project_id="p2", state="alarm", enabled=False)
    rule = {"operator": "or", "alarm_ids": [str(other.id), "not-an-id"]}
    own = make_alarm(rule, type="combination", state="ok")
    operators = make_alarm(rule, type="combination", state="ok", project_id="")
    evaluate()
    assert (state_of(own), state_of(operators)) == ("insufficient data", "alarm")


def test_combinations_in_a_circle_are_decided_all_the_same(db):
    first = make_alarm({}, type="combination")
    second = make_alarm(
        {"operator": "and", "alarm_ids": [str(first.id), str(first.id)]}, type="combination", state="ok"
    )
    Alarm.objects.filter(pk=first.pk).update(rule={"operator": "and", "alarm_ids": [str(second.id)]})
    assert evaluate().alarms == 2
    # First saw the ok of second, which saw the insufficient data of first.
    assert (state_of(first), state_of(second)) == ("ok", "insufficient data")


def test_a_composite_remembers_the_side_of_a_leaf_that_is_mixed(db):
    leaf = threshold_rule(evaluation_periods=2, type="threshold", resource="r1")
    alarm = make_alarm({"or": [leaf, leaf | {"query": [{"field": "resource", "value": "r2"}]}]}, type="composite")
    put(91, 92, resource="r1")
    put(1, 2, resource="r2")
    evaluate()
    assert state_of(alarm) == "alarm"
    later = NOON + timedelta(minutes=3)
    put(91, 10, until=later, resource="r1")
    put(1, 2, until=later, resource="r2")
    evaluate(later)
    assert state_of(alarm) == "alarm"


def test_a_gnocchi_alarm_on_one_resource_is_a_threshold_on_our_meters(db):
    rule = {
        "metric": "cpu_util",
        "resource_id": "r1",
        "resource_type": "instance",
        "aggregation_method": "mean",
        "granularity": 60,
        "evaluation_periods": 1,
        "threshold": 80.0,
        "comparison_operator": "gt",
    }
    alarm = make_alarm(rule, type="gnocchi_resources_threshold")
    put(91, resource="r1")
    put(1, resource="r2")
    evaluate()
    assert state_of(alarm) == "alarm"


def test_an_anomaly_is_what_the_same_hour_of_past_weeks_was_not(db):
    rule = threshold_rule(weeks=3, deviations=3)
    alarm = make_alarm(rule, type="anomaly")
    for week in range(1, 4):
        put(50 + week, until=NOON - timedelta(weeks=week))
    put(51)
    evaluate()
    assert state_of(alarm) == "ok"
    later = NOON + timedelta(minutes=2)
    for week in range(1, 4):
        put(50 + week, until=later - timedelta(weeks=week))
    put(99, until=later)
    evaluate(later)
    assert state_of(alarm) == "alarm"
    assert Alarm.objects.get().state_reason.startswith("Transition to alarm due to 1 samples outside")


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        (
            threshold_rule(query=[{"field": "metadata.x", "value": "many", "type": "integer"}]),
            "Unable to convert the value many",
        ),
        (threshold_rule(period=31_536_000), "are kept from"),
    ],
)
def test_what_cannot_be_read_is_no_data_and_the_reason_says_why(db, rule, reason):
    RetentionFloor.objects.update_or_create(
        subject="samples.standard", defaults={"floor_at": NOON - timedelta(days=30)}
    )
    put(91)
    broken = make_alarm(rule, state="ok")
    good = make_alarm(threshold_rule())
    evaluate()
    assert (state_of(broken), state_of(good)) == ("insufficient data", "alarm")
    assert reason in Alarm.objects.get(pk=broken.pk).state_reason


@pytest.mark.parametrize(
    "fields",
    [
        {"rule": {"nonsense": True}},
        {"rule": {"nonsense": True}, "type": "composite"},
        {"rule": {"alarm_ids": ["x"]}, "type": "combination"},
        {"time_constraints": [{"start": "never", "duration": 1}]},
        {"type": "no such type"},
    ],
)
def test_an_alarm_that_makes_no_sense_keeps_its_state_and_stops_no_other(db, fields):
    broken = make_alarm(state="ok", **fields)
    good = make_alarm(threshold_rule())
    put(91)
    assert evaluate().alarms == 2
    assert (state_of(broken), state_of(good)) == ("ok", "alarm")
    assert evaluate().alarms == 0


def test_a_late_batch_does_not_take_the_data_away(db):
    """Polls come each minute; one arrives some seconds after the cycle that its bucket ends in."""
    alarm = make_alarm(threshold_rule(evaluation_periods=3))
    put(91, 92, 93, until=NOON)
    evaluate()
    for minute in range(1, 4):
        now = NOON + timedelta(minutes=minute)
        # The sample of the newest bucket is not there yet: the one to spare stands in.
        assert evaluate(now).fired == 0
        put(94, until=now)
    assert state_of(alarm) == "alarm"


def test_batches_are_claimed_until_nothing_is_due(db):
    for _ in range(7):
        make_alarm()
    assert evaluate_due(NOON, batch=3).alarms == 7
    assert evaluate_due(NOON, batch=3).alarms == 0


def test_an_evaluation_that_runs_out_of_time_says_so(db):
    make_alarm()
    assert evaluate_due(NOON, seconds=0) == (0, 0, False)


def test_an_alarm_that_breaks_everything_is_found_and_the_others_have_their_turn(db, monkeypatch):
    """As a fault of ours would: not in its decision, but in what is done for many together."""
    alarms = [make_alarm(threshold_rule()) for _ in range(9)]
    poison = alarms[4]
    read_all = cycle.read_all

    def read_or_break(questions, **options):
        if any(question.reading.meter_name == "poison" for question in questions):
            raise RuntimeError("broken")
        return read_all(questions, **options)

    monkeypatch.setattr(cycle, "read_all", read_or_break)
    Alarm.objects.filter(pk=poison.pk).update(rule=threshold_rule(meter_name="poison"), state="ok")
    put(91)
    assert evaluate() == (9, 8, True)
    assert state_of(poison) == "ok"
    assert evaluate().alarms == 0


def slow_down(monkeypatch, seconds, *, meters):
    """Questions about these meters take the store so long."""
    statement_of = engine.statistics_statement

    def slow_statement(planned, *, limit):
        statement = statement_of(planned, limit=limit)
        if planned.request.wanted.meter not in meters:
            return statement
        # Also where there is no row to read.
        return Statement(
            f"WITH slow AS MATERIALIZED (SELECT pg_sleep({seconds})) SELECT found.* FROM slow, ("
        ).then_all(statement, Statement(") found"))

    monkeypatch.setattr(engine, "statistics_statement", slow_statement)


def test_an_alarm_that_the_store_is_too_slow_for_keeps_its_state_and_holds_up_no_other(store, monkeypatch):
    put(91)
    put(91, meter="slow")
    slow = make_alarm(threshold_rule(meter_name="slow"), state="ok", name="slow")
    good = make_alarm(threshold_rule(), name="good")
    slow_down(monkeypatch, 60, meters=["slow"])
    monkeypatch.setattr(cycle, "_READING_SECONDS", 1.0)
    # Whichever is read first: what there was no time for is due still, and read by the next claim.
    assert evaluate() == (2, 1, True)
    assert (state_of(slow), state_of(good)) == ("ok", "alarm")
    assert evaluate().alarms == 0
    assert not Schedule.objects.exclude(claimed_until=None).exists()


def test_alarms_that_there_is_no_time_for_are_read_by_the_next_claim(store, monkeypatch):
    meters = [f"meter-{n}" for n in range(8)]
    for meter in meters:
        put(91, meter=meter)
        make_alarm(threshold_rule(meter_name=meter))
    slow_down(monkeypatch, 0.15, meters=meters)
    monkeypatch.setattr(cycle, "_READING_SECONDS", 0.5)
    first = evaluate_due(NOON + LAG, seconds=0.1)
    assert 0 < first.alarms < 8
    assert not first.is_done
    assert Schedule.objects.filter(claimed_until=None).count() == 8
    rest = evaluate()
    assert (first.alarms + rest.alarms, rest.is_done) == (8, True)
    assert Alarm.objects.filter(state="alarm").count() == 8
