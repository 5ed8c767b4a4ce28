"""At every moment the planned answer is what the samples alone give: late, doubled, reordered, while hours and days are being rolled up."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metering.collector.ingestion import Result, ingest
from metering.housekeeping.partitions import ROLLUPS, ensure_weeks, week_of
from metering.housekeeping.rolling import keep_rollups
from metering.models import RollupDayMark, RollupMark
from metering.rollups.recompute import recompute_hour
from tests.support.agents import EnrolledAgent

from .reference import Stored
from .stories import AFTERWARDS, BASE, PHASES, actions, compare, empty, questions, remember


@pytest.fixture
def rolling_store(store) -> Iterator[None]:
    weeks = {week_of(BASE + timedelta(days=days)) for days in (-22, -20, 0, 5)}
    ensure_weeks(weeks)
    ensure_weeks(weeks, parents=ROLLUPS)
    yield


def test_one_long_story_for_each_example(rolling_store):
    """Real commits, so every example empties the tables itself."""

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck), phases=PHASES)
    @given(story=st.lists(actions, min_size=2, max_size=8), asked=st.lists(questions, min_size=8, max_size=8))
    def tell(story, asked):
        empty()
        agent = EnrolledAgent(f"node-{datetime.now(UTC).timestamp()}")
        stored: list[Stored] = []
        last = None
        for number, (action, given_) in enumerate(story):
            if action == "ingest":
                last = agent.seal(given_)
                assert ingest(last.to_bytes()).result == Result.STORED
                stored += remember(last, given_)
            elif action == "again" and last:
                assert ingest(last.to_bytes()).result == Result.DUPLICATE
            elif action == "roll":
                assert keep_rollups(BASE + timedelta(hours=given_), seconds=60).is_done
            elif action == "hours":
                for mark in RollupMark.objects.order_by("hour", "meter")[:given_]:
                    recompute_hour(mark.hour, [mark.meter_id])
            compare(asked[number], stored)
        keep_rollups(AFTERWARDS, seconds=60)
        assert not RollupMark.objects.exists() and not RollupDayMark.objects.exists()
        for question in asked:
            compare(question, stored)

    tell()
