"""A chart as inline SVG: values over time, thresholds, bands for the states that an alarm was in. No script, no file beside it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Context, Decimal
from typing import NamedTuple

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from alarms.rules.decision import ALARM, INSUFFICIENT, OK

__all__ = ["Band", "Chart", "Level", "Mark", "Point", "draw"]

_WIDTH, _HEIGHT, _FLAT_HEIGHT = 960, 260, 90
_LEFT, _RIGHT, _TOP, _BOTTOM = 96, 16, 14, 30
_COLOURS = {OK: "#2e9e4f", ALARM: "#d43f3a", INSUFFICIENT: "#8a8f98"}
_LINE, _TEXT, _GRID = "var(--link-fg, #417893)", "var(--body-quiet-color, #666)", "var(--hairline-color, #e8e8e8)"
_TIME_STEPS = [timedelta(seconds=seconds) for seconds in
               (10, 30, 60, 300, 600, 1800, 3600, 7200, 14400, 21600, 43200, 86_400, 2 * 86_400, 7 * 86_400, 28 * 86_400, 91 * 86_400,
                365 * 86_400)]  # fmt: skip
_DAY = timedelta(days=1)


class Point(NamedTuple):
    """A period's value; ``low`` and ``high`` are what would be usual for it, where that is known."""

    start_at: datetime
    end_at: datetime
    value: Decimal
    sample_count: int
    low: Decimal | None = None
    high: Decimal | None = None


class Level(NamedTuple):
    """A line across the chart."""

    value: Decimal
    text: str


class Band(NamedTuple):
    """A state, and from when to when it was. ``state`` is empty where nobody knows."""

    start_at: datetime
    end_at: datetime
    state: str


class Mark(NamedTuple):
    """Something that happened, and how it is told."""

    at: datetime
    text: str
    state: str


class Chart(NamedTuple):
    """What is drawn. Without points there is no axis of values: bands and marks alone."""

    start_at: datetime
    end_at: datetime
    points: Sequence[Point] = ()
    levels: Sequence[Level] = ()
    bands: Sequence[Band] = ()
    marks: Sequence[Mark] = ()


def draw(chart: Chart, *, title: str) -> SafeString:
    """The chart; ``title`` is what is read out of it to those who do not see it. All texts are escaped."""
    sheet = _Sheet(chart)
    parts = [_bands(sheet), _times(sheet), _usual(sheet), _levels(sheet), _values(sheet), _marks(sheet)]
    return format_html(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {} {}"'
        ' style="width: min(960px, 56vw); height: auto; font: 11px sans-serif"><title>{}</title>{}</svg>',
        _WIDTH,
        sheet.height,
        title,
        format_html_join("", "{}", ((part,) for part in parts)),
    )


class _Sheet:
    """Where times and values lie on the paper."""

    def __init__(self, chart: Chart) -> None:
        self.chart = chart
        self.height = _HEIGHT if chart.points or chart.levels else _FLAT_HEIGHT
        self.bottom = self.height - _BOTTOM
        self.low, self.high = _range(chart)

    def x(self, at: datetime) -> float:
        whole = max(self.chart.end_at - self.chart.start_at, timedelta(seconds=1))
        part = (min(max(at, self.chart.start_at), self.chart.end_at) - self.chart.start_at) / whole
        return round(_LEFT + part * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: Decimal) -> float:
        part = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.bottom - float(part) * (self.bottom - _TOP), 1)


def _range(chart: Chart) -> tuple[Decimal, Decimal]:
    """The lowest and highest of what is drawn, with a little room; never the same."""
    values = [value for point in chart.points for value in (point.value, point.low, point.high) if value is not None]
    values += [level.value for level in chart.levels]
    low, high = min(values, default=Decimal(0)), max(values, default=Decimal(1))
    room = (high - low) / 12 or abs(high) / 12 or Decimal(1)
    return low - room, high + room


def _bands(sheet: _Sheet) -> SafeString:
    rows = []
    for band in sheet.chart.bands:
        if band.state not in _COLOURS:
            continue
        left, right = sheet.x(band.start_at), sheet.x(band.end_at)
        said = f"{band.state}: {_moment(band.start_at)} – {_moment(band.end_at)}"
        rows.append((left, _TOP, round(max(right - left, 1), 1), sheet.bottom - _TOP, _COLOURS[band.state], said))
    return format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}" fill="{}" fill-opacity="0.16"><title>{}</title></rect>',
        rows,
    )


def _times(sheet: _Sheet) -> SafeString:
    chart = sheet.chart
    span = chart.end_at - chart.start_at
    step = next((step for step in _TIME_STEPS if span / step <= 8), span / 8)
    form = "%H:%M:%S" if step < timedelta(minutes=1) else "%H:%M" if span <= _DAY else "%m-%d %H:%M"
    midnight = chart.start_at.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight + -((midnight - chart.start_at) // step) * step
    rows = []
    while first <= chart.end_at:
        rows.append((sheet.x(first), sheet.bottom + 16, f"{first:{form}}"))
        first += step
    axis = format_html(
        '<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="{}"/><text x="{}" y="{}" fill="{}">UTC</text>',
        _LEFT, _WIDTH - _RIGHT, sheet.bottom, sheet.bottom, _TEXT, 4, sheet.bottom + 16, _TEXT,
    )  # fmt: skip
    return axis + format_html_join(
        "",
        '<text x="{}" y="{}" text-anchor="middle" fill="' + _TEXT + '">{}</text>',
        rows,
    )


def _levels(sheet: _Sheet) -> SafeString:
    if not (sheet.chart.points or sheet.chart.levels):
        return SafeString("")
    grid = [
        (_LEFT, _WIDTH - _RIGHT, sheet.y(value), sheet.y(value), _LEFT - 6, sheet.y(value) + 4, short(value))
        for value in _round_values(sheet.low, sheet.high)
    ]
    lines = [
        (_LEFT, _WIDTH - _RIGHT, sheet.y(level.value), sheet.y(level.value), _LEFT + 4, sheet.y(level.value) - 4, level.text)
        for level in sheet.chart.levels
    ]  # fmt: skip
    return format_html_join(
        "",
        '<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="' + _GRID + '"/>'
        '<text x="{}" y="{}" text-anchor="end" fill="' + _TEXT + '">{}</text>',
        grid,
    ) + format_html_join(
        "",
        '<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="' + _COLOURS[ALARM] + '" stroke-dasharray="6 4" stroke-width="1.5"/>'
        '<text x="{}" y="{}" fill="' + _COLOURS[ALARM] + '">{}</text>',
        lines,
    )  # fmt: skip


def _round_values(low: Decimal, high: Decimal) -> list[Decimal]:
    """About five numbers between these that are short to write."""
    power = Decimal(1).scaleb((high - low).adjusted() - 1)
    step = next(step for step in (power * times for times in (1, 2, 5, 10, 20, 50, 100)) if (high - low) / step <= 6)
    first = (low / step).to_integral_value(ROUND_CEILING)
    return [step * (first + number) for number in range(7) if step * (first + number) <= high]


def _usual(sheet: _Sheet) -> SafeString:
    """What would be usual, as an area behind the values."""
    rows = []
    for point in sheet.chart.points:
        if point.low is not None and point.high is not None:
            left, top, bottom = sheet.x(point.start_at), sheet.y(point.high), sheet.y(point.low)
            width, height = round(sheet.x(point.end_at) - left, 1), round(max(bottom - top, 1), 1)
            rows.append((left, top, width, height, f"usual: {short(point.low)} – {short(point.high)}"))
    return format_html_join(
        "",
        '<rect x="{}" y="{}" width="{}" height="{}" fill="' + _LINE + '" fill-opacity="0.2"><title>{}</title></rect>',
        rows,
    )


def _values(sheet: _Sheet) -> SafeString:
    """A line through the middles of periods, broken where a period has no samples."""
    lines = [
        (" ".join(f"{_middle(sheet, point)},{sheet.y(point.value)}" for point in run),) for run in _runs(sheet.chart)
    ]
    dots = [
        (
            _middle(sheet, point),
            sheet.y(point.value),
            f"{_moment(point.start_at)}: {short(point.value)} of {point.sample_count} samples",
        )
        for point in sheet.chart.points
    ]
    return format_html_join(
        "", '<polyline points="{}" fill="none" stroke="' + _LINE + '" stroke-width="1.5"/>', lines
    ) + format_html_join("", '<circle cx="{}" cy="{}" r="2.5" fill="' + _LINE + '"><title>{}</title></circle>', dots)


def _runs(chart: Chart) -> Iterator[list[Point]]:
    run: list[Point] = []
    for point in chart.points:
        if run and point.start_at > run[-1].end_at:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def _middle(sheet: _Sheet, point: Point) -> float:
    return round((sheet.x(point.start_at) + sheet.x(point.end_at)) / 2, 1)


def _marks(sheet: _Sheet) -> SafeString:
    rows = []
    for mark in sheet.chart.marks:
        x, colour = sheet.x(mark.at), _COLOURS.get(mark.state, _TEXT)
        triangle = f"{x - 5},{_TOP - 10} {x + 5},{_TOP - 10} {x},{_TOP - 1}"
        rows.append((f"{_moment(mark.at)}: {mark.text}", x, x, _TOP, sheet.bottom, colour, triangle, colour))
    return format_html_join(
        "",
        '<g><title>{}</title><line x1="{}" x2="{}" y1="{}" y2="{}" stroke="{}" stroke-width="1.5"/><polygon points="{}" fill="{}"/></g>',
        rows,
    )


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}"


def short(value: Decimal) -> str:
    """At most six digits of it."""
    number = value.normalize(Context(prec=6))
    return f"{number:f}" if -6 <= number.adjusted() <= 12 else f"{number:E}"
