"""``manage.py simulate``: through the same door as everything else, once, and by keys that end."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db.models import Count, Max
from django.utils import timezone

from metering.models import Agent, AgentKey, Batch, BatchBody, Quarantine, Sample, Series
from tests.support.roles import Stage
from tests.support.stacks import Stack

UNTIL = (timezone.now() - timedelta(hours=1)).strftime("%Y-%m-%dT%H:00")
SMALL = ("--nodes", "2", "--days", "2", "--instances", "2", "--interval", "3600", "--until", UNTIL)


def simulate(*arguments):
    output = StringIO()
    call_command("simulate", *arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


@pytest.mark.django_db
@pytest.mark.parametrize("speed", [(), ("--fast",)], ids=["poll by poll", "fast"])
def test_everything_simulated_is_stored_and_nothing_twice(speed):
    said = simulate(*SMALL, *speed)
    samples, batches = Sample.objects.count(), Batch.objects.count()
    assert said.startswith(f"{samples:,} samples of 2 nodes, 4 instances in {batches:,} signed batches")
    assert samples > 500 and BatchBody.objects.count() == batches
    assert not Quarantine.objects.exists()

    again = simulate(*SMALL, *speed)
    assert f"{batches:,} of {batches:,} batches were there already" in again
    assert (Sample.objects.count(), Batch.objects.count()) == (samples, batches)
    same = Sample.objects.values("meter", "resource", "timestamp").annotate(count=Count("id"))
    assert same.aggregate(most=Max("count")) == {"most": 1}
    assert {series.meter.name for series in Series.objects.select_related("meter")} >= {"cpu", "volume.size"}


@pytest.mark.django_db
def test_another_simulation_of_the_same_time_is_refused_and_once_leaves_it():
    simulate(*SMALL)
    before = Sample.objects.count()
    with pytest.raises(
        CommandError, match=r"another simulation of that time: seed 1, 2 nodes of 2, .*this one is seed 2"
    ):
        simulate(*SMALL, "--seed", "2")
    assert simulate(*SMALL, "--seed", "2", "--once").startswith("a simulation is in the store already: seed 1")
    assert Sample.objects.count() == before


@pytest.mark.django_db
def test_keys_that_simulated_sign_nothing_afterwards():
    simulate(*SMALL)
    keys = list(AgentKey.objects.all())
    assert len(keys) == 3
    assert all(key.refusal_at(timezone.now()) for key in keys)


@pytest.mark.django_db
def test_a_real_agent_of_that_name_is_left_alone():
    Agent.objects.create(name="sim-node-2", description="rack 7")
    with pytest.raises(CommandError, match="'sim-node-2' is enrolled and not a simulated one"):
        simulate(*SMALL)
    assert not Sample.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("option", "value", "complaint"),
    [
        ("--nodes", "0", "whole number of at least 1"),
        ("--days", "x", "whole number of at least 1"),
        ("--until", "2999-01-01", "not in the future"),
        ("--until", "soon", "such as"),
        ("--days", "99999", "nothing is stored from before 2010-01-01"),
    ],
)
def test_a_value_that_cannot_be_is_refused_with_what_was_expected(option, value, complaint):
    with pytest.raises(CommandError, match=complaint):
        simulate(*SMALL, option, value)


@pytest.mark.parametrize("broker", ["embedded"], indirect=True)
def test_over_the_broker_collectors_take_it_in(stage: Stage, stack: Stack):
    environment = stage.environment(**stack.environment())
    stage.worker("collector", environment=environment).start()
    said = stage.manage("simulate", *SMALL, "--broker", environment={**environment, "CELOMETER_SETTINGS": "server"})
    assert said.startswith(f"{Sample.objects.count():,} samples of 2 nodes")
    assert Sample.objects.count() > 500 and not Quarantine.objects.exists()
    # What waits in the broker must still be believed: these keys end by themselves.
    assert all(key.valid_until > timezone.now() for key in AgentKey.objects.all())
