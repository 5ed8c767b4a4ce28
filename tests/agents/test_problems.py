"""Problems are told once and counted, and however many kinds there have been, a new one is seen."""

from __future__ import annotations

import logging

import pytest

from agents.problems import ProblemLog


def test_a_flood_of_kinds_hides_no_later_one(caplog: pytest.LogCaptureFixture) -> None:
    """Values stand in them, so a single sender makes any number."""
    problems = ProblemLog()
    for number in range(1000):
        problems.report("volume.create.end", f"volume 'x{number}': expected a number")
    assert len(caplog.records) == 500
    assert problems.summary() == ["others: more kinds of problems than are kept apart (500 times more)"]
    problems.report("image.update", "resource_id: no value")
    assert "image.update: resource_id: no value" in caplog.text


def test_no_text_of_a_stranger_makes_lines_of_its_own(caplog: pytest.LogCaptureFixture) -> None:
    problems = ProblemLog()
    for _ in range(2):
        problems.report("x\n2026-01-01 00:00:00 ERROR all is lost\x1b[2J", "é")
    (line,) = problems.summary()
    for text in (line, caplog.records[0].getMessage()):
        assert text.startswith("x\\n2026") and "\n" not in text and "\x1b" not in text


def test_what_is_hardly_a_problem_is_told_once_at_info(caplog: pytest.LogCaptureFixture) -> None:
    problems = ProblemLog()
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            problems.note("image.update", "meter image.size: volume: no value")
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert problems.summary() == []
