"""What transformers remember, right under any number of workers, repetitions and deaths."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.contract import Meter, Resource, Sample
from agents.pipeline.run import Unit, flush, run_samples, settle
from agents.pipeline.state import RECORD_SECONDS, STATE_SECONDS, Change, StateAway, TransformState

SECOND = 1_000_000
WEEK = 7 * 24 * 3600

PIPELINES = """\
sources:
  - {name: all, meters: ["*"], sinks: [rate, delta, sums, diff, chain]}
sinks:
  - {name: rate, transformers: [{name: rate_of_change, parameters: {target: {name: rate}}}], publishers: [udp]}
  - {name: delta, transformers: [{name: delta, parameters: {target: {name: delta}}}], publishers: [udp]}
  - {name: sums, transformers: [{name: aggregator, parameters: {size: 3, target: {name: sum}}}], publishers: [udp]}
  - {name: diff, transformers: [{name: arithmetic, parameters: {target: {name: d, expr: $(a) - $(b)}}}], publishers: [udp]}
  - name: chain
    transformers:
      - {name: delta, parameters: {target: {name: step}}}
      - {name: unit_conversion, parameters: {target: {scale: 1000}}}
      - {name: aggregator, parameters: {size: 2, target: {name: steps}, resource_metadata: drop}}
    publishers: ["collector://", udp]
"""


def no_report(where, what):
    raise AssertionError(f"{where}: {what}")


def derived(delivery):
    """What came out, as a multiset of (id, meter, resource, time, volume)."""
    outgoing = [entry for entries in delivery.outgoing.values() for entry in entries]
    return Counter((id, s.meter.name, s.resource.id, s.timestamp, s.volume) for id, s in outgoing)


def run(pipelines, units, state):
    return run_samples(pipelines, units, state=state, polled=True, report=no_report)


def empty(state_url):
    with redis.Redis.from_url(state_url) as server:
        server.flushdb()


def sample(name, volume, at, resource="vm-1"):
    return Sample(
        Meter(name, "cumulative", "x"), Resource(resource, "openstack", metadata={"n": 1}), at * SECOND, str(volume)
    )


# One unit per minute: some resources, each with some of the two meters.
readings = st.dictionaries(
    st.tuples(st.sampled_from(["vm-1", "vm-2", "vm-3"]), st.sampled_from("ab")), st.integers(0, 5), min_size=1
)
streams = st.lists(readings, min_size=1, max_size=8).map(
    lambda minutes: [
        Unit(f"u{minute}", [sample(meter, volume, 60 * minute, vm) for (vm, meter), volume in found.items()])
        for minute, found in enumerate(minutes)
    ]
)
on_one_server = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@on_one_server
@given(streams, st.data())
def test_any_split_into_batches_and_any_repetition_gives_the_same(load, state, state_url, units, data):
    pipelines = load(PIPELINES)
    empty(state_url)
    whole = derived(run(pipelines, units, state))
    empty(state_url)
    parts: Counter = Counter()
    done: list[Unit] = []
    while len(done) < len(units):
        size = data.draw(st.integers(1, len(units) - len(done)))
        fresh = units[len(done) : len(done) + size]
        again = data.draw(st.lists(st.sampled_from(done), max_size=3)) if done else []
        parts |= derived(run(pipelines, data.draw(st.permutations(fresh + again)), state))
        done += fresh
    assert parts == whole


@on_one_server
@given(streams, st.data())
def test_workers_that_interleave_give_what_one_gives(load, state, state_url, units, data):
    """Between the load and the commit of a unit, a rival does the one before it, or the very same, or a batch of both."""
    pipelines = load(PIPELINES)
    empty(state_url)
    whole = derived(run(pipelines, units, state))
    empty(state_url)
    rival = TransformState(state_url)
    parts: Counter = Counter()
    commit, left = state.commit, iter(units)

    def commit_late(changes, **more):
        while rivals_units:
            parts.update(derived(run(pipelines, rivals_units.pop(), rival)))
        return commit(changes, **more)

    for earlier in left:
        later = next(left, earlier)
        rivals_units = data.draw(st.sampled_from([[[earlier]], [[earlier, later]], [[later], [earlier]]]))
        state.commit = commit_late
        parts |= derived(run(pipelines, [later], state))
        state.commit = commit
    rival.close()
    assert dict.fromkeys(parts, 1) == dict(whole)


def test_threads_that_share_resources_lose_and_double_nothing(load, state_url):
    """Growth by single units, added up by size: whatever the order, all growth is there once."""
    text = """\
sources: [{name: all, meters: ["*"], sinks: [sums]}]
sinks: [{name: sums, transformers: [{name: aggregator, parameters: {size: 4}}], publishers: [udp]}]
"""
    pipelines = load(text)
    units = [Unit(f"u{n}", [Sample(Meter("a", "delta", ""), Resource("vm", "s"), n, str(2**n))]) for n in range(32)]
    found: list[Counter] = []

    def work(seed):
        own = TransformState(state_url)
        mine = units * 2
        random.Random(seed).shuffle(mine)
        total = Counter()
        for unit in mine:
            total |= derived(run(pipelines, [unit], own))
        found.append(total)
        own.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Each worker was given every unit, so each has heard of every sum; and all of the same.
    assert found == [found[0]] * 4 and len(found[0]) == 8
    assert sum(int(volume) for *_, volume in found[0]) == 2**32 - 1


def test_a_late_sample_changes_nothing(load, state, state_url):
    pipelines = load(PIPELINES)
    run(pipelines, [Unit("u1", [sample("a", 1, 60)])], state)
    before = dump(state_url, "state")
    late = derived(run(pipelines, [Unit("u0", [sample("a", 7, 0)])], state))
    assert not [name for _, name, *_ in late if name in ("rate", "delta", "steps")]
    changed = [key for key, value in dump(state_url, "state").items() if before.get(key) != value]
    assert len(changed) == 2  # the sum, to which it belongs, and the moment that has no b yet


def lifetimes(state_url):
    """Of every key its kind, and the seconds that it has left (-1: for ever)."""
    with redis.Redis.from_url(state_url) as server:
        return [(key.decode().split(":")[2], server.ttl(key)) for key in server.scan_iter("*")]


def dump(state_url, kind):
    with redis.Redis.from_url(state_url) as server:
        return {key: server.get(key) for key in server.scan_iter(f"*:{kind}:*")}


def test_an_input_that_comes_again_with_other_samples_derives_nothing_new(load, state):
    pipelines = load(PIPELINES)
    reports = []
    run(pipelines, [Unit("u0", [sample("a", 1, 0)])], state)
    first = run(pipelines, [Unit("u1", [sample("a", 2, 60)])], state)
    units = [Unit("u1", [sample("a", 9, 90)])]
    again = run_samples(pipelines, units, state=state, polled=True, report=lambda *report: reports.append(report))
    assert derived(first) and not derived(again)
    assert "came again with other samples" in reports[0][1]


def test_everything_in_the_state_server_has_an_end(load, state, state_url):
    pipelines = load(PIPELINES)
    run(pipelines, [Unit("u1", [sample("a", 1, 0)])], state)
    before = lifetimes(state_url)
    assert {kind for kind, _ in before} == {"state", "record", "due"}
    flush(pipelines, now=WEEK * SECOND, state=state, report=no_report)
    for kind, seconds in before + lifetimes(state_url):
        # The list of what was released holds the names of what has an end itself.
        assert (kind == "released" and seconds == -1) or 0 < seconds <= (
            RECORD_SECONDS if kind == "record" else STATE_SECONDS
        )


AGGREGATE = """\
sources: [{name: all, meters: ["*"], sinks: [sums]}]
sinks:
  - name: sums
    transformers:
      - {name: aggregator, parameters: {retention_time: 60, target: {name: sum}}}
      - {name: unit_conversion, parameters: {target: {scale: 10}}}
    publishers: ["collector://", udp]
"""


def test_an_aggregate_is_released_once_by_two_workers_with_one_key(load, state, state_url):
    pipelines = load(AGGREGATE)
    run(pipelines, [Unit("u1", [sample("a", 1, 0, f"vm-{n}") for n in range(500)])], state)
    assert flush(pipelines, now=59 * SECOND, state=state, report=no_report) == ([], {}, [])
    given: list = []

    def work():
        own = TransformState(state_url)
        given.append(flush(pipelines, now=60 * SECOND, state=own, report=no_report))
        own.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    given.append(flush(pipelines, now=61 * SECOND, state=state, report=no_report))
    units = [unit for delivery in given for unit in delivery.collector]
    assert sorted(s.resource.id for unit in units for s in unit.samples) == sorted(f"vm-{n}" for n in range(500))
    assert len({unit.key for unit in units}) == len(units) and {s.volume for unit in units for s in unit.samples} == {
        "10"
    }
    assert sum(sum(derived(delivery).values()) for delivery in given) == 500


def test_what_a_worker_took_and_never_settled_is_offered_again_with_its_keys(load, state):
    pipelines = load(AGGREGATE)
    run(pipelines, [Unit("u1", [sample("a", 1, 0)])], state)
    first = flush(pipelines, now=100 * SECOND, state=state, report=no_report)
    assert len(first.collector) == 1
    assert flush(pipelines, now=399 * SECOND, state=state, report=no_report).collector == []
    again = flush(pipelines, now=400 * SECOND, state=state, report=no_report)
    assert again == first
    settle(again, state=state)
    assert flush(pipelines, now=WEEK * SECOND, state=state, report=no_report) == ([], {}, [])


def test_what_was_held_for_a_pipeline_that_is_gone_is_dropped_and_told(load, state):
    pipelines = load(AGGREGATE)
    run(pipelines, [Unit("u1", [sample("a", 1, 0)])], state)
    flush(pipelines, now=100 * SECOND, state=state, report=no_report)
    reports = []
    others = load(AGGREGATE.replace("name: all", "name: any"))
    delivery = flush(others, now=900 * SECOND, state=state, report=lambda *report: reports.append(report))
    assert delivery.collector == [] and len(delivery.released) == 1
    assert reports[0][0] == "all:sums"


def test_a_commit_from_a_stale_state_writes_nothing(state):
    id = ("pipeline", "resource")
    assert state.commit({id: Change(b"", b"one", 5)}, records={"r1": b"1"})
    assert not state.commit({id: Change(b"", b"two", 5), ("pipeline", "other"): Change(b"", b"x", 5)})
    assert not state.commit({("pipeline", "other"): Change(b"", b"x", 5)}, records={"r1": b"2", "r2": b"3"})
    loaded, records = state.load([id, ("pipeline", "other")], ["r1", "r2"])
    assert (loaded[id].value, loaded["pipeline", "other"].value, records) == (b"one", b"", {"r1": b"1"})
    assert state.find_due("pipeline", now=5, limit=9) == [id] and state.find_due("pipeline", now=4, limit=9) == []
    assert state.commit({id: Change(loaded[id].stamp, b"", 0)})
    assert state.find_due("pipeline", now=5, limit=9) == []
    assert state.load([id], [])[0][id] == (b"", b"")


def test_a_state_that_was_restored_to_an_older_value_is_still_noticed(state):
    id = ("pipeline", "resource")
    state.commit({id: Change(b"", b"one", 0)})
    stale = state.load([id], [])[0][id]
    state.commit({id: Change(stale.stamp, b"two", 0)})
    state.commit({id: Change(state.load([id], [])[0][id].stamp, b"one", 0)})
    assert not state.commit({id: Change(stale.stamp, b"three", 0)})


def test_a_worker_that_always_loses_gives_its_task_back(load, state, monkeypatch):
    monkeypatch.setattr(state, "commit", lambda *arguments, **more: False)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(StateAway, match="others change the same states"):
        run(load(PIPELINES), [Unit("u1", [sample("a", 1, 0)]), Unit("u2", [sample("a", 1, 0)])], state)


def test_work_goes_on_where_it_was_when_the_server_comes_back(load, own_broker):
    pipelines = load(PIPELINES)
    state = TransformState(own_broker.start())
    first = run(pipelines, [Unit("u1", [sample("a", 1, 0)])], state)
    own_broker.stop()
    with pytest.raises(StateAway):
        run(pipelines, [Unit("u2", [sample("a", 7, 60)])], state)
    with pytest.raises(StateAway):
        flush(pipelines, now=0, state=state, report=no_report)
    own_broker.start()
    assert derived(run(pipelines, [Unit("u1", [sample("a", 1, 0)])], state)) == derived(first)
    assert sorted(key[1::3] for key in derived(run(pipelines, [Unit("u2", [sample("a", 7, 60)])], state))) == [
        ("delta", "6"),
        ("rate", "0.1"),
    ]
    state.close()


WORKER = """
import json, random, sys
from pathlib import Path
from agents.contract import Meter, Resource, Sample
from agents.pipeline.definition import load_pipelines
from agents.pipeline.run import Unit, run_samples
from agents.pipeline.state import TransformState
from agents.pipeline.transformers import load_transformers

directory, url, seed, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
pipelines = load_pipelines(directory / "pipeline.yaml", directory / "event_pipeline.yaml",
                           transformers=load_transformers(), url_problem=lambda url, **_: "")
state = TransformState(url)
numbers = list(range(count))
random.Random(seed).shuffle(numbers)
for first in range(0, count, 5):
    units = []
    for n in numbers[first:first + 5]:
        resource = Resource(f"vm-{n % 3}", "openstack")
        units.append(Unit(f"u{n}", [Sample(Meter("a", "delta", ""), resource, n, str(n))]))
    delivery = run_samples(pipelines, units, state=state, polled=True, report=lambda where, what: sys.exit(what))
    for unit in delivery.collector:
        print(json.dumps([unit.key, [[s.meter.name, s.resource.id, s.timestamp, s.volume] for s in unit.samples]]), flush=True)
print('"done"', flush=True)
"""


def start_worker(directory, state_url, seed, count):
    command = [sys.executable, "-c", WORKER, str(directory), state_url, str(seed), str(count)]
    root = Path(__file__).parents[3]
    return subprocess.Popen(command, cwd=root, env={"PYTHONPATH": str(root)}, stdout=subprocess.PIPE, text=True)


def test_processes_killed_in_the_middle_and_repeated_give_every_sample_its_place_once(load, state_url, tmp_path):
    """Every worker gets every unit, in another order; two are killed on the way and begin again."""
    text = """\
sources: [{name: all, meters: ["*"], sinks: [sums]}]
sinks: [{name: sums, transformers: [{name: aggregator, parameters: {size: 5}}], publishers: ["collector://"]}]
"""
    load(text)
    count = 900
    workers = [start_worker(tmp_path, state_url, seed, count) for seed in range(4)]
    for worker in workers[:2]:
        for _ in range(15):
            worker.stdout.readline()
        worker.kill()
        worker.wait()
    workers[:2] = [start_worker(tmp_path, state_url, seed, count) for seed in range(2)]
    heard = []
    for worker in workers:
        output, _ = worker.communicate(timeout=120)
        lines = output.splitlines()
        assert worker.returncode == 0 and lines[-1] == '"done"'
        heard.append(sorted(set(lines[:-1])))
    # Whoever did a unit first, all were given the same for it.
    assert heard == [heard[0]] * 4
    assert len(heard[0]) == count // 5
    sums = Counter()
    for line in heard[0]:
        for _, resource, _, volume in json.loads(line)[1]:
            sums[resource] += int(volume)
    assert sums == {f"vm-{k}": sum(range(k, count, 3)) for k in range(3)}
