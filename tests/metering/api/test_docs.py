"""docs/api.md: its commands are run, in their order, and answer what stands below them."""

from __future__ import annotations

import pytest
from django.urls import get_resolver

from config.env import REPOSITORY
from metering.api.views import ApiView
from tests.support.documented import Reader, check_page, examples
from tests.support.events import store_event

PAGE = REPOSITORY / "docs" / "api.md"


@pytest.fixture
def reader(db) -> Reader:
    # Events come by notifications alone.
    store_event(
        id="e4eaaaf2-d142-11e1-b3e4-080027620cdd", type="compute.instance.create.end", user="alice", memory_mb=512,
        at="2016-01-05T05:00:00", raw={"state": "active"},
    )  # fmt: skip
    return Reader()


def test_every_example_of_the_page_answers_what_stands_below_it(reader):
    assert check_page(PAGE, reader) >= 25


def test_every_endpoint_has_an_example(reader):
    patterns = [
        pattern.pattern.regex for pattern in get_resolver().url_patterns[-1].url_patterns
        if issubclass(getattr(pattern.callback, "cls", object), ApiView) and pattern.callback.cls.schema is not None
    ]  # fmt: skip
    for example in examples(PAGE.read_text()):
        reader.run(example.command)
    missing = [regex.pattern for regex in patterns if not any(regex.search(path[1:]) for path in reader.paths)]
    assert missing == []
    assert len(patterns) >= 10
