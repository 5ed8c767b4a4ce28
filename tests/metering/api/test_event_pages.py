"""Pages of events, their types and traits: whoever follows the links sees every entry once, in the order of the whole list."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.events import make_event, store_events

from .conftest import fault
from .test_pages import gently, walk

LISTS = (
    "/v2/events",
    "/v2/events?q.field=even&q.value=yes",
    "/v2/event_types",
    "/v2/event_types/t0/traits",
    "/v2/event_types/t0/traits/even",
)


@pytest.fixture
def many(db):
    """Events of five types, many of them at one time, with traits of every type."""
    store_events(
        [
            make_event(
                id=f"m{n}",
                type=f"t{n % 5 if n % 3 else 0}",
                at=f"2016-01-05T10:00:0{n * 13 % 5}",
                project=("p1", "p9")[n % 4 == 3],
                user="member",
                even=("yes", "no")[n % 2],
                number=n,
                share=n / 4,
            )
            for n in range(60)
        ]
    )


@gently
@given(path=st.sampled_from(LISTS), limits=st.lists(st.integers(1, 20), min_size=1, max_size=30))
def test_all_pages_together_are_the_whole_list(many, operator, path, limits):
    whole = operator.rows(path)
    assert walk(operator, path, iter([*limits, *[100] * 60])) == whole
    assert len(whole) > 3


def test_events_that_come_meanwhile_neither_double_nor_hide_any(many, operator):
    whole = [event["message_id"] for event in operator.rows("/v2/events")]
    arrivals = iter(range(1000))

    def arrive():
        store_events(
            [make_event(id=f"new {next(arrivals)}", at=f"2016-01-05T10:00:{second}") for second in ("03", "00")]
        )

    seen = [event["message_id"] for event in walk(operator, "/v2/events", iter([7] * 60), between=arrive)]
    assert len(set(seen)) == len(seen)
    assert [name for name in seen if name in set(whole)] == whole


def test_pages_of_a_member_end_with_what_the_member_may_see(many, member, operator):
    own = [event["message_id"] for event in walk(member, "/v2/events", iter([4] * 60))]
    assert own == [event["message_id"] for event in member.rows("/v2/events")]
    assert 3 < len(own) < len(operator.rows("/v2/events"))


@pytest.mark.parametrize("path", LISTS)
def test_a_marker_of_another_list_is_refused_by_name(many, operator, path):
    answer = operator.get("/v2/meters?limit=1&marker=WyJzYW1wbGVzIl0")
    assert answer.status_code == 400
    joined = "&" if "?" in path else "?"
    answer = operator.get(f"{path}{joined}marker=WyJzYW1wbGVzIl0")
    assert answer.status_code == 400
    assert "WyJzYW1wbGVzIl0" in fault(answer)
