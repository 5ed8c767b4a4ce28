"""docs/alarms.md: its commands are run, in their order, and answer what stands below them."""

from __future__ import annotations

import pytest

from alarms.api.urls import urlpatterns
from config.env import REPOSITORY
from metering.api.views import ApiView
from tests.support.defined_alarms import make_alarm, make_delivery
from tests.support.documented import Reader, check_page, examples

PAGE = REPOSITORY / "docs" / "alarms.md"


@pytest.fixture
def reader(db) -> Reader:
    """With an alarm that has something to tell of its deliveries."""
    told = make_alarm(project="p1", name="told", user_id="alice", description="An alarm whose receiver does not answer")
    make_delivery(told, project="p1")
    return Reader()


def test_every_example_of_the_page_answers_what_stands_below_it(reader):
    assert check_page(PAGE, reader) >= 15


def test_every_endpoint_has_an_example(reader):
    for example in examples(PAGE.read_text()):
        reader.run(example.command)
    views = [pattern for pattern in urlpatterns if issubclass(getattr(pattern.callback, "cls", object), ApiView)]
    regexes = [pattern.pattern.regex for pattern in views if pattern.callback.cls.schema is not None]
    assert [regex.pattern for regex in regexes if not any(regex.search(path[1:]) for path in reader.paths)] == []
