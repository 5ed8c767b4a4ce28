"""One measured figure, and how a list of them is shown and kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["Figure", "show_figures", "write_figures"]

RESULTS = Path(__file__).parent / "results" / "latest.json"


@dataclass(frozen=True)
class Figure:
    """What was measured, beside its baseline from the same run where there is one."""

    name: str
    value: float
    unit: str
    baseline: float | None = None
    baseline_name: str = ""

    @property
    def ratio(self) -> float | None:
        return self.value / self.baseline if self.baseline else None


def show_figures(figures: Sequence[Figure]) -> None:
    table = Table("figure", "value", "unit", "baseline", "ratio", "baseline is")
    for figure in figures:
        ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
        baseline = _shown(figure.baseline) if figure.baseline is not None else ""
        table.add_row(figure.name, _shown(figure.value), figure.unit, baseline, ratio, figure.baseline_name)
    Console(width=140).print(table)


def _shown(value: float) -> str:
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}"


def write_figures(figures: Sequence[Figure]) -> Path:
    """Write ``{name: {value, unit, baseline, ratio}}``; return where."""
    RESULTS.parent.mkdir(exist_ok=True)
    content = {
        figure.name: {"value": figure.value, "unit": figure.unit, "baseline": figure.baseline, "ratio": figure.ratio}
        for figure in figures
    }
    RESULTS.write_text(json.dumps(content, indent=2) + "\n")
    return RESULTS
