"""What is said of the samples that a start finds, and of roles that are down."""

from __future__ import annotations

import pytest

from config.launch.home import RoleRecord
from config.launch.summary import are_new, describe_down

STARTED_AT = 1_773_480_400.0  # 2026-03-14 09:26:40 UTC


@pytest.mark.parametrize(
    ("timestamps", "expected"),
    [
        (["2026-03-14T09:26:41"], True),
        (["2026-03-14T09:26:39.999999"], False),
        (["2026-03-14T09:26:39", "2026-03-14T09:26:40.5"], True),
        ([], False),
    ],
)
def test_samples_of_an_earlier_start_are_no_first_ones(timestamps: list[str], expected: bool) -> None:
    assert are_new([{"timestamp": timestamp} for timestamp in timestamps], STARTED_AT) is expected


def test_a_role_that_is_down_has_its_last_words_if_there_are_any() -> None:
    assert describe_down(RoleRecord("api", last_words="ended with 1")) == "✗ api is down: ended with 1"
    assert describe_down(RoleRecord("api")) == "✗ api is down"
