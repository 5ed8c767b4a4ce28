"""Charts are well-formed, whatever their numbers and texts are, and nothing in them lies off the paper."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms.admin.charts import Band, Chart, Level, Mark, Point, draw

NOON = datetime(2016, 1, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SVG = "{http://www.w3.org/2000/svg}"

numbers = st.decimals(allow_nan=False, allow_infinity=False)
moments = st.integers(-100, 10_000).map(lambda seconds: NOON + timedelta(seconds=seconds))
# What an XML document may hold.
texts = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn", "Co"]))
states = st.sampled_from(["ok", "alarm", "insufficient data", ""])
points = st.builds(
    lambda number, value, low: Point(NOON + number * MINUTE, NOON + (number + 1) * MINUTE, value, 3, low, low),
    st.integers(0, 59),
    numbers,
    st.none() | numbers,
)
charts = st.builds(
    Chart,
    st.just(NOON),
    st.integers(0, 10**8).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    st.lists(points, max_size=8),
    st.lists(st.builds(Level, numbers, texts), max_size=2),
    st.lists(st.builds(Band, moments, moments, states), max_size=3),
    st.lists(st.builds(Mark, moments, texts, states), max_size=3),
)


def drawn(chart: Chart, title: str = "cpu") -> ElementTree.Element:
    return ElementTree.fromstring(draw(chart, title=title))


@given(chart=charts, title=texts)
def test_any_chart_is_well_formed_and_on_the_paper(chart, title):
    root = drawn(chart, title)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for element in root.iter():
        for name, limit in (
            ("x1", width),
            ("x2", width),
            ("x", width),
            ("cx", width),
            ("y1", height),
            ("y2", height),
            ("cy", height),
        ):
            assert 0 <= float(element.attrib.get(name, 0)) <= limit, ElementTree.tostring(element)
    assert len(list(root.iter(f"{SVG}circle"))) == len(chart.points)


def test_texts_are_escaped():
    evil = '</title><script>alert("1")</script>'
    text = draw(Chart(NOON, NOON + MINUTE, (), [Level(Decimal(1), evil)], (), [Mark(NOON, evil, "alarm")]), title=evil)
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 3


def test_a_line_is_broken_where_a_period_has_no_samples():
    series = [Point(NOON + n * MINUTE, NOON + (n + 1) * MINUTE, Decimal(n), 1) for n in (0, 1, 2, 5, 6)]
    lines = [
        line.attrib["points"].split() for line in drawn(Chart(NOON, NOON + 10 * MINUTE, series)).iter(f"{SVG}polyline")
    ]
    assert [len(line) for line in lines] == [3, 2]


def test_a_higher_value_lies_higher_and_a_threshold_between_them():
    series = [Point(NOON + n * MINUTE, NOON + (n + 1) * MINUTE, Decimal(value), 1) for n, value in enumerate((10, 90))]
    root = drawn(Chart(NOON, NOON + 10 * MINUTE, series, [Level(Decimal(50), "alarm: > 50")]))
    low, high = (float(dot.attrib["cy"]) for dot in root.iter(f"{SVG}circle"))
    (line,) = [float(one.attrib["y1"]) for one in root.iter(f"{SVG}line") if "stroke-dasharray" in one.attrib]
    assert high < line < low


@pytest.mark.parametrize("seconds", [10, 3600, 86_400, 86_400 * 365, 86_400 * 36_500])
def test_the_axis_of_time_has_a_few_words(seconds):
    root = drawn(Chart(NOON, NOON + timedelta(seconds=seconds)))
    assert 1 <= len([text for text in root.iter(f"{SVG}text") if text.text != "UTC"]) <= 10
