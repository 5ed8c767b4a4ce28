"""A wrong answer has no speed: each gate stops a measurement that was tampered with."""

from __future__ import annotations

import json
import time
from collections import Counter
from contextlib import nullcontext

import pytest

from benchmarks import __main__ as bench
from benchmarks import figures, latency, parts, poll, signatures, storage, stores
from benchmarks.figures import Figure, write_figures
from benchmarks.gates import WrongAnswer, expect
from metering.collector.ingestion import Result, ingest
from metering.messages import PublicKey
from metering.models import Sample
from tests.support.agents import EnrolledAgent, now_microseconds, some_samples


def test_a_gate_names_what_it_found_and_what_it_expected():
    with pytest.raises(WrongAnswer, match=r"^samples: 2, expected 3$"):
        expect("samples", 2, 3)
    expect("samples", 3, 3)


def test_storage_is_not_weighed_while_samples_are_missing(db, monkeypatch):
    monkeypatch.setattr(storage, "_fill", lambda **sizes: 1)
    with pytest.raises(WrongAnswer, match="samples stored: 0, expected 1"):
        storage.measure_storage(nodes=1, instances_per_node=1, days=1)


def test_signatures_that_hold_for_altered_headers_have_no_speed(monkeypatch):
    monkeypatch.setattr(PublicKey, "verify", lambda *_: None)
    with pytest.raises(WrongAnswer, match="altered headers"):
        signatures.measure_messages(batches=1)


def test_batches_that_open_to_something_else_have_no_speed(monkeypatch):
    opened = signatures._open
    monkeypatch.setattr(signatures, "_open", lambda key, message: opened(key, message)[:-1])
    with pytest.raises(WrongAnswer, match="batches that open to what was sealed: 0, expected 1"):
        signatures.measure_messages(batches=1)


def test_a_poll_that_lacks_a_counter_has_no_speed():
    plain = Counter({"cpu": 2, "network.incoming.bytes": 2})
    poll.expect_same_counters(plain + Counter(instance=2), plain, domains=2)
    with pytest.raises(WrongAnswer, match="samples by meter"):
        poll.expect_same_counters(Counter(instance=2, cpu=2), plain, domains=2)
    with pytest.raises(WrongAnswer, match="samples of the meter instance: 1, expected 2"):
        poll.expect_same_counters(plain + Counter(instance=1), plain, domains=2)


def test_a_poll_has_no_latency_when_a_sample_of_it_is_not_in_the_store(db):
    began = now_microseconds()
    sealed = EnrolledAgent().seal([sample._replace(timestamp=began) for sample in some_samples(2)])
    assert ingest(sealed.to_bytes()).result is Result.STORED
    seen = [latency.Seen(began / 1_000_000, time.time())]
    assert len(latency.trace_polls([sealed], seen)) == 1
    Sample.objects.filter(volume=1).delete()
    with pytest.raises(WrongAnswer, match="samples stored: 1, expected 2"):
        latency.trace_polls([sealed], seen)


def test_a_wrong_answer_ends_the_run_and_nothing_is_written(db, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(stores, "make_template", lambda: None)
    monkeypatch.setattr(stores, "clean_store", lambda name: nullcontext())
    monkeypatch.setattr(figures, "RESULTS", tmp_path / "latest.json")
    monkeypatch.setattr(parts, "measure_part", lambda name, quick: expect("answers", "wrong", "right"))
    assert bench._run(["poll", "latency"], quick=True) == 1
    assert "poll: wrong, so there is no figure: answers: wrong, expected right" in capsys.readouterr().out
    assert not (tmp_path / "latest.json").exists()


def test_every_part_that_can_be_named_can_be_measured():
    assert tuple(parts._PARTS) == bench.PARTS


def test_figures_are_written_by_name_with_value_unit_baseline_and_ratio(tmp_path):
    sections = {
        "one": [Figure("speed", 3.0, "samples/s", 2.0, "something plain")],
        "two": [Figure("size", 5.0, "B/sample")],
    }
    write_figures(sections, tmp_path / "results" / "latest.json")
    assert json.loads((tmp_path / "results" / "latest.json").read_text()) == {
        "speed": {"value": 3.0, "unit": "samples/s", "baseline": 2.0, "ratio": 1.5},
        "size": {"value": 5.0, "unit": "B/sample", "baseline": None, "ratio": None},
    }
    with pytest.raises(ValueError, match="two figures are called 'speed'"):
        write_figures({"one": sections["one"], "two": sections["one"]}, tmp_path / "results" / "latest.json")
