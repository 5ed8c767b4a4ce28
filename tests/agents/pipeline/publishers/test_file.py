"""``file://``: lines of JSON, rotated, written by several processes."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
from decimal import Decimal

import pytest

from agents.pipeline.publishers.file import FilePublisher

from .things import AT_TEXT, event, outgoing, wait_until


@pytest.fixture
def publish(tmp_path):
    """Open a publisher on a file of this test; all are closed at its end."""
    opened = []

    def open_it(query="", path=tmp_path / "out"):
        opened.append(FilePublisher(f"file://{path}{query}"))
        return opened[-1]

    yield open_it
    for publisher in opened:
        publisher.close(1)


def lines(path):
    return [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines()]


def test_each_sample_and_event_is_a_line_under_the_names_of_ceilometer(publish, tmp_path):
    publisher = publish()
    publisher.publish_samples(
        [outgoing(1, volume="0.10000000000000000000000001", user=None, metadata={"a": {"b": "é"}})]
    )
    publisher.publish_events([event(1, raw=b'{"n":\n 1.50}')])
    publisher.close(5)
    assert lines(tmp_path / "out") == [
        {
            "id": "id-1",
            "name": "cpu",
            "type": "gauge",
            "unit": "ns",
            "volume": Decimal("0.10000000000000000000000001"),
            "user_id": None,
            "project_id": "p1",
            "resource_id": "vm-1",
            "timestamp": AT_TEXT,
            "resource_metadata": {"a": {"b": "é"}},
            "source": "openstack",
        },
        {
            "message_id": "message-1",
            "event_type": "volume.create.end",
            "generated": AT_TEXT,
            "traits": [
                {"name": "size", "type": "integer", "value": "1"},
                {"name": "name", "type": "string", "value": "é"},
            ],
            "raw": {"n": Decimal("1.50")},
        },
    ]
    assert publisher.state() == (2, 0, 0, "")


def test_rotation_keeps_so_many_old_files_and_no_file_grows_above_its_bound(publish, tmp_path):
    publisher = publish("?max_bytes=1000&backup_count=2")
    publisher.publish_samples([outgoing(number) for number in range(40)])
    publisher.close(5)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "out.1", "out.2", "out.lock"]
    in_order = [line["id"] for name in ("out.2", "out.1", "out") for line in lines(tmp_path / name)]
    assert in_order == [f"id-{number}" for number in range(40)][-len(in_order) :]
    assert all((tmp_path / name).stat().st_size <= 1000 for name in ("out", "out.1", "out.2"))
    assert publisher.state().sent == 40


def test_a_line_longer_than_the_bound_has_a_file_of_its_own(publish, tmp_path):
    publisher = publish("?max_bytes=100&backup_count=9")
    publisher.publish_samples([outgoing(1), outgoing(2)])
    publisher.close(5)
    assert [line["id"] for line in lines(tmp_path / "out.1") + lines(tmp_path / "out")] == ["id-1", "id-2"]


def _write(path, writer):
    publisher = FilePublisher(f"file://{path}?max_bytes=20000&backup_count=1000")
    for number in range(100):
        publisher.publish_samples([outgoing(f"{writer}-{number}-{part}") for part in range(5)])
    publisher.close(60)
    os._exit(0 if publisher.state() == (500, 0, 0, "") else 1)


def test_several_processes_write_one_file_and_no_line_is_lost_torn_or_doubled(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path / "out", writer)) for writer in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    ids = [line["id"] for path in tmp_path.glob("out*") if path.suffix != ".lock" for line in lines(path)]
    assert sorted(ids) == sorted(f"id-{w}-{n}-{p}" for w in range(3) for n in range(100) for p in range(5))
    assert len(list(tmp_path.glob("out.*"))) > 5


def test_what_cannot_be_written_waits_and_is_written_later(publish, tmp_path):
    publisher = publish(path=tmp_path / "later" / "out")
    publisher.publish_samples([outgoing()])
    wait_until(lambda: publisher.state().error)
    assert publisher.state()[:3] == (0, 1, 0)
    assert publisher.state().error.endswith("No such file or directory")
    (tmp_path / "later").mkdir()
    wait_until(lambda: publisher.state() == (1, 0, 0, ""))
    assert len(lines(tmp_path / "later" / "out")) == 1


def test_a_file_that_was_moved_away_is_made_anew(publish, tmp_path):
    publisher = publish()
    publisher.publish_samples([outgoing(1)])
    wait_until(lambda: publisher.state().sent == 1)
    (tmp_path / "out").rename(tmp_path / "moved")
    publisher.publish_samples([outgoing(2)])
    publisher.close(5)
    assert [line["id"] for line in lines(tmp_path / "out")] == ["id-2"]


def _fill_the_disk(path):
    """A bound on file sizes is met as a full disk is: a part is written, then an error comes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    publisher = FilePublisher(f"file://{path}")
    publisher.publish_samples([outgoing(number) for number in range(40)])
    wait_until(lambda: publisher.state().error)
    torn = path.stat().st_size and not path.read_bytes().endswith(b"\n")
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    publisher.close(60)
    os._exit(1 if torn or publisher.state() != (40, 0, 0, "") else 0)


def test_a_full_disk_leaves_no_half_line_and_what_waits_is_written_when_there_is_room(tmp_path):
    writer = multiprocessing.get_context("spawn").Process(target=_fill_the_disk, args=(tmp_path / "out",))
    writer.start()
    writer.join(60)
    assert writer.exitcode == 0
    assert [line["id"] for line in lines(tmp_path / "out")] == [f"id-{number}" for number in range(40)]


def test_one_that_cannot_be_encoded_is_dropped_and_the_others_are_written(publish, tmp_path):
    publisher = publish()
    publisher.publish_samples([outgoing(1), outgoing(2, timestamp=2**62), outgoing(3, metadata={"a": object()})])
    publisher.close(5)
    assert [line["id"] for line in lines(tmp_path / "out")] == ["id-1"]
    assert publisher.state()[:3] == (1, 0, 2)
