"""Globs over event types, and which rules they leave nothing to."""

from __future__ import annotations

from fnmatch import fnmatchcase

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.notifications.definitions.globs import Globs, covers


@pytest.mark.parametrize(
    ("globs", "event_type", "matches"),
    [
        (["volume.*"], "volume.exists", True),
        (["volume.*"], "volume", False),
        (["volume.exists"], "volume.exists_x", False),
        (["*http.*"], "objectstore.http.request", True),
        (["a", "b"], "b", True),
        (["volume.*", "!volume.exists"], "volume.create.end", True),
        (["volume.*", "!volume.exists"], "volume.exists", False),
        (["!volume.*"], "volume.exists", False),
        (["!volume.*"], "image.update", True),
        (["Volume.*"], "volume.exists", False),
    ],
)
def test_one_glob_must_match_and_no_exclusion(globs: list[str], event_type: str, matches: bool) -> None:
    assert Globs(globs).match(event_type) is matches


@pytest.mark.parametrize(
    ("wider", "narrower", "expected"),
    [
        ("*", "volume.*", True),
        ("*http.*", "objectstore.http.request", True),
        ("*http.*", "*http.response", True),
        ("volume.*", "volume.create.*", True),
        ("volume.create.*", "volume.*", False),
        ("*.end", "volume.*", False),
        ("a*", "*a", False),
        ("a?", "a?", True),
        ("*]b", "[a]b", False),
        ("a?b", "a*b", False),
        ("a?", "ab", False),  # it does, but that is not looked into
    ],
)
def test_a_glob_covers_another(wider: str, narrower: str, expected: bool) -> None:
    assert covers(wider, narrower) is expected


GLOBS = st.text("ab*?[]!", max_size=6)


@given(GLOBS, GLOBS, st.text("ab*?[]!", max_size=6))
@settings(deadline=None)
def test_a_covering_glob_matches_all_that_the_covered_one_matches(wider: str, narrower: str, text: str) -> None:
    if covers(wider, narrower) and fnmatchcase(text, narrower):
        assert fnmatchcase(text, wider)


@given(st.lists(st.text("ab*", min_size=1, max_size=4), min_size=1, max_size=3), st.data())
@settings(deadline=None)
def test_nothing_that_a_shadowed_rule_matches_is_left_to_it(globs: list[str], data: st.DataObject) -> None:
    rule = st.lists(
        st.text("ab*!", min_size=1, max_size=4).filter(lambda glob: glob.strip("!")), min_size=1, max_size=3
    )
    others = [Globs(each) for each in data.draw(st.lists(rule, min_size=1, max_size=3))]
    if Globs(globs).are_shadowed_by(others):
        for text in ["", "a", "b", "ab", "ba", "aab", "abab", "bbbb"]:
            assert not Globs(globs).match(text) or any(other.match(text) for other in others)
