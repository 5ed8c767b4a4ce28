from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from alarms.deliveries.schedule import GIVE_UP_AFTER, LONGEST_PAUSE, next_due_at

START = datetime(2026, 11, 22, tzinfo=UTC)


def fail_until_given_up(at: datetime = START) -> list[datetime]:
    """When a delivery that always fails at once is tried."""
    tried = []
    due_at: datetime | None = at
    while due_at is not None:
        tried.append(due_at)
        due_at = next_due_at(due_at, failure_count=len(tried), give_up_at=START + GIVE_UP_AFTER, retry_after=None)
    return tried


@given(st.integers())
def test_a_receiver_that_is_back_within_a_day_is_told(_: int) -> None:
    tried = fail_until_given_up()
    assert tried[-1] - START >= timedelta(hours=24)
    assert len(tried) <= 14
    pauses = [later - earlier for earlier, later in itertools.pairwise(tried)]
    assert timedelta(seconds=10) <= pauses[0] <= timedelta(seconds=12.5)
    assert max(pauses) <= 1.25 * LONGEST_PAUSE
    assert all(pause >= timedelta(seconds=10) for pause in pauses)


def test_what_failed_together_does_not_come_back_together() -> None:
    assert (
        len(
            {next_due_at(START, failure_count=5, give_up_at=START + GIVE_UP_AFTER, retry_after=None) for _ in range(50)}
        )
        > 40
    )


@given(st.timedeltas(timedelta(0), timedelta(days=366)), st.integers(1, 20))
def test_what_the_receiver_asks_for_is_heeded_within_bounds(asked: timedelta, failure_count: int) -> None:
    due_at = next_due_at(START, failure_count=failure_count, give_up_at=START + GIVE_UP_AFTER, retry_after=asked)
    assert due_at is not None
    assert due_at - START >= min(asked, LONGEST_PAUSE)
    assert due_at - START <= max(LONGEST_PAUSE, 1.25 * LONGEST_PAUSE)


def test_what_waited_behind_others_past_its_time_is_tried_once() -> None:
    assert len(fail_until_given_up(START + GIVE_UP_AFTER)) == 1
