"""Times as services write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.notifications.times import BadTime, microseconds_of, read_time
from metering.messages import to_microseconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-14 09:26:41.220517", datetime(2026, 3, 14, 9, 26, 41, 220517)),
        ("2026-03-14 09:26:12+00:00", datetime(2026, 3, 14, 9, 26, 12)),
        ("2026-03-14T09:26:40.000000", datetime(2026, 3, 14, 9, 26, 40)),
        ("2026-03-14 09:00:00", datetime(2026, 3, 14, 9)),
        ("2026-03-14T08:02:19+00:00", datetime(2026, 3, 14, 8, 2, 19)),
        ("2026-03-13T22:14:31Z", datetime(2026, 3, 13, 22, 14, 31)),
        ("2026-03-14T09:20:00.512345+0000", datetime(2026, 3, 14, 9, 20, 0, 512345)),
        ("2026-03-14T09:20:00.5-0330", datetime(2026, 3, 14, 12, 50, 0, 500000)),
        ("0001-01-01T00:00:00+01:00", datetime(1, 1, 1) - timedelta(0)),
    ],
)
def test_all_forms_seen_on_the_bus_are_read(text: str, expected: datetime) -> None:
    if text.startswith("0001"):  # before the first year there is no datetime, but there are µs
        assert microseconds_of(text) == to_microseconds(expected.replace(tzinfo=UTC)) - 3_600_000_000
    else:
        assert read_time(text) == expected.replace(tzinfo=UTC)
        assert microseconds_of(text) == to_microseconds(expected.replace(tzinfo=UTC))


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


@given(st.datetimes(timezones=st.none() | ZONES), st.sampled_from("T "))
@settings(deadline=None)
def test_a_time_keeps_its_microseconds_and_without_a_zone_it_is_utc(moment: datetime, between: str) -> None:
    expected = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    assert microseconds_of(moment.isoformat(between)) == to_microseconds(expected)


@pytest.mark.parametrize(
    "value",
    ["", None, 0, 1773480401, True, [], {}, "now", "2026-03-14", "2026-03-14T09:26", "2026-03-14x09:26:41", "20260314T092641",
     "2026-W11-6T09:26:41", "2026-02-30T09:26:41", "2026-03-14 25:00:00", " 2026-03-14 09:26:41", "2026-03-14 09:26:41 UTC"],
)  # fmt: skip
def test_what_is_no_time_is_refused_by_name(value: object) -> None:
    with pytest.raises(BadTime, match="expected ISO 8601") as error:
        microseconds_of(value)
    assert repr(value) in str(error.value)
