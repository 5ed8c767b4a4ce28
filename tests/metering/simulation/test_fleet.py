"""A make-believe cloud is believable: what its samples say hangs together, and the same seed says it again."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest

from metering.messages import PrivateKey, open_body
from metering.simulation.fleet import CENTRAL, Fleet, Plan
from metering.simulation.sealing import seal_polls
from metering.simulation.shop import HABITS

MONDAY = 1_700_438_400
DAY = 86_400
PLAN = Plan(nodes=2, instances_per_node=6, start=MONDAY, end=MONDAY + 14 * DAY, interval_seconds=900)


@pytest.fixture(scope="module")
def polls():
    return list(Fleet(PLAN).polls())


@pytest.fixture(scope="module")
def series(polls):
    """(time, volume, metadata) by meter and resource."""
    found = defaultdict(list)
    for poll in polls:
        for meter, resource, timestamp, volume in poll.samples:
            found[meter.name, resource.id].append((timestamp, int(volume), resource.metadata))
    return found


def test_the_same_seed_says_the_same_and_another_does_not(polls):
    assert list(Fleet(PLAN).polls()) == polls
    other = replace(PLAN, seed=2)
    assert list(Fleet(other).polls()) != polls
    assert other.name != PLAN.name


def test_every_node_is_polled_on_the_grid_of_the_interval_with_a_rare_gap(polls):
    dues = {node: {poll.due for poll in polls if poll.agent == node} for node in ("sim-node-1", "sim-node-2")}
    grid = set(range(PLAN.start, PLAN.end, PLAN.interval_seconds))
    for seen in dues.values():
        assert seen <= grid
        assert 0 < len(grid - seen) < len(grid) / 50


def test_what_belongs_to_no_node_is_polled_every_hour(polls):
    central = [poll for poll in polls if poll.agent == CENTRAL]
    assert len(central) == 14 * 24
    assert {sample.meter.name for sample in central[0].samples} == {
        "volume.size",
        "image.size",
        "ip.floating",
        "network",
    }


def test_a_counter_grows_or_begins_again_and_both_happen(series):
    resets = grown = 0
    for (meter, _), rows in series.items():
        if meter == "cpu":
            for (_, before, _), (_, after, _) in pairwise(rows):
                resets += after < before
                grown += after > before
    assert resets >= 3
    assert grown > 100 * resets


def test_instances_resize_migrate_stop_go_and_come(series):
    sizes = {key: rows for key, rows in series.items() if key[0] == "vcpus"}
    seen = {
        name: sum(len({row[2][name] for row in rows}) > 1 for rows in sizes.values())
        for name in ("instance_type", "instance_host", "state")
    }
    assert all(count > 0 for count in seen.values()), seen
    last = PLAN.end - PLAN.interval_seconds
    ended = [rows for rows in sizes.values() if rows[-1][0] < (last - DAY) * 1_000_000]
    came = [rows for rows in sizes.values() if rows[0][0] > (MONDAY + DAY) * 1_000_000]
    assert ended and came


def test_a_stopped_instance_has_a_size_but_counts_nothing(polls):
    stopped = {"vcpus", "memory", "disk.root.size"}
    meters = defaultdict(set)
    for poll in polls:
        for meter, resource, timestamp, _ in poll.samples:
            if resource.metadata.get("state") == "shutdown":
                meters[resource.id, timestamp].add(meter.name)
    assert meters
    assert all(names == stopped for names in meters.values())


@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.name)
def test_a_day_has_its_peak_at_the_hour_of_the_habit(habit):
    loads = {hour: habit.load_at(MONDAY + hour * 3600) for hour in range(24)}
    assert max(loads, key=lambda hour: loads[hour]) == habit.peak_hour
    assert loads[habit.peak_hour] == pytest.approx(habit.peak)
    assert min(loads.values()) == habit.rest
    saturday = habit.load_at(MONDAY + 5 * DAY + int(habit.peak_hour) * 3600)
    assert (saturday < habit.peak / 2) == habit.quiet_weekends


@pytest.mark.parametrize("together", [False, True])
def test_batches_hold_every_sample_once_in_a_stream_for_each_agent(polls, together):
    keys = {agent: PrivateKey.generate() for agent in Fleet(PLAN).agents}
    sealed = list(seal_polls(polls, keys=keys, unit=PLAN.name, together=together))
    samples = [sample for batch in sealed for sample in open_body(batch).samples()]
    assert sorted((s.timestamp, s.meter.name, s.resource.id, s.volume) for s in samples) == sorted(
        (s.timestamp, s.meter.name, s.resource.id, s.volume) for poll in polls for s in poll.samples
    )
    assert len(sealed) == len(polls) if not together else len(sealed) < len(polls) / 20
    assert len({batch.header.id for batch in sealed}) == len(sealed)
    for agent, key in keys.items():
        chain = [batch for batch in sealed if batch.header.agent == agent]
        for batch in chain:
            key.public.verify(batch.signature, batch.header_bytes)
        assert [batch.header.sequence for batch in chain] == list(range(1, len(chain) + 1))
        assert all(later.header.previous == earlier.header_digest for earlier, later in pairwise(chain))
