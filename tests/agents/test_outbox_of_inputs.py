"""What is made from inputs goes into the outbox whole: samples under their origin keys, events, and what was refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agents.outbox import Outbox, OutboxFull
from metering.messages import (
    Event,
    Meter,
    Origin,
    PrivateKey,
    Refusal,
    Resource,
    Sample,
    Trait,
    is_refusal,
    open_body,
    parse_batch,
)

# The same in every process.
KEY = PrivateKey(Ed25519PrivateKey.from_private_bytes(bytes(32)))
METER = Meter("volume.size", "gauge", "GiB")
EVENT = Event("m-1", "volume.create.end", "openstack", 1, [Trait("state", "string", "ok")])
REFUSAL = Refusal("node-1", "bad_notification", "no JSON", b"garbage")


def open_outbox(directory: Path, max_bytes: int = 10**9) -> Outbox:
    return Outbox(directory / "outbox.sqlite3", key=KEY, agent="node-1", max_bytes=max_bytes)


def sample(number: int, filler: str = "") -> Sample:
    return Sample(METER, Resource(f"volume-{number}", "openstack", metadata={"filler": filler}), 1, "1")


def test_samples_events_and_refusals_of_one_work_lie_there_in_this_order(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path)
    units = [[("m-1", [sample(1), sample(2)]), ("m-2", [sample(3)])], [("m-3", [sample(4)])]]
    outbox.keep(source="notifications", due=5_000_000, unit="u", units=units, events=[[EVENT]], refusals=[REFUSAL])
    *batches, refusal = [pending.message for pending in outbox.unsent(limit=10)]
    sealed = [parse_batch(message) for message in batches]
    assert [batch.header.kind for batch in sealed] == ["samples", "samples", "events"]
    assert [batch.header.unit for batch in sealed] == ["u/0", "u/1", "u/2"]
    assert [batch.header.sequence for batch in sealed] == [1, 2, 3]
    first = open_body(sealed[0])
    assert first.origins == [Origin("m-1", 2), Origin("m-2", 1)]
    assert first.samples() == [sample(1), sample(2), sample(3)]
    assert open_body(sealed[2]).events == [EVENT]
    assert is_refusal(refusal)


@pytest.mark.parametrize("what", ["units", "events", "refusals"])
def test_the_same_work_done_again_adds_nothing(tmp_path: Path, what: str) -> None:
    outbox = open_outbox(tmp_path)
    given = {"units": [[("m-1", [sample(1)])]], "events": [[EVENT]], "refusals": [REFUSAL]}[what]
    for unit in ("u", "u", "another"):
        outbox.keep(source="notifications", due=5_000_000, unit=unit, **{what: given})
    assert outbox.state().unsent == 2


def test_work_that_came_to_nothing_leaves_nothing(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path)
    outbox.keep(source="notifications", due=5_000_000, unit="u")
    assert outbox.state().unsent == 0


def test_a_part_too_large_is_halved_between_its_inputs(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path)
    units = [(f"m-{number}", [sample(number, os.urandom(30_000).hex())]) for number in range(400)]
    outbox.keep(source="notifications", due=5_000_000, unit="u", units=[units])
    bodies = [open_body(parse_batch(pending.message)) for pending in outbox.unsent(limit=10)]
    assert len(bodies) > 1
    assert [origin.key for body in bodies for origin in body.origins] == [f"m-{number}" for number in range(400)]


def test_a_full_outbox_takes_nothing_of_a_work(tmp_path: Path) -> None:
    outbox = open_outbox(tmp_path, max_bytes=1)
    outbox.keep(source="notifications", due=5_000_000, unit="u", events=[[EVENT]])
    with pytest.raises(OutboxFull):
        outbox.keep(source="notifications", due=5_000_000, unit="v", events=[[EVENT]], refusals=[REFUSAL])
    assert outbox.state().unsent == 1


_WORKS = """
import sys
from pathlib import Path
from tests.agents.test_outbox_of_inputs import EVENT, REFUSAL, open_outbox, sample
outbox = open_outbox(Path(sys.argv[1]))
print("ready", flush=True)
for number in range(100_000):
    units = [[(f"m-{number}-{part}", [sample(part)])] for part in range(3)]
    outbox.keep(source="notifications", due=5_000_000, unit=f"u{number}", units=units, events=[[EVENT]], refusals=[REFUSAL])
"""


def test_a_process_killed_at_any_time_leaves_whole_works(tmp_path: Path) -> None:
    worker = subprocess.Popen([sys.executable, "-c", _WORKS, str(tmp_path)], stdout=subprocess.PIPE)
    assert worker.stdout and worker.stdout.readline()
    outbox = open_outbox(tmp_path)
    while outbox.state().unsent < 50:
        pass
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    messages = [pending.message for pending in outbox.unsent(limit=10_000)]
    assert len(messages) % 5 == 0
    sealed = [parse_batch(message) for message in messages if not is_refusal(message)]
    assert [batch.header.sequence for batch in sealed] == list(range(1, len(sealed) + 1))
