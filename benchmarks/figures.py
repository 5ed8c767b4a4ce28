"""One measured figure, and how those of a run are shown and kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["RESULTS", "Figure", "show_figures", "write_figures"]

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


def show_figures(sections: Mapping[str, Sequence[Figure]], *, console: Console) -> None:
    """One table, a section for each part that measured something."""
    table = Table("figure", "value", "unit", "baseline", "ratio", "baseline is")
    for column in (1, 3, 4):
        table.columns[column].justify = "right"
    for title, figures in sections.items():
        if not figures:
            continue
        table.add_section()
        table.add_row(f"[bold]{title}[/bold]")
        for figure in figures:
            table.add_row(f"  {figure.name}", *_cells(figure))
    console.print(table)


def _cells(figure: Figure) -> list[str]:
    ratio = f"{figure.ratio:.3g}" if figure.ratio is not None else ""
    baseline = _shown(figure.baseline) if figure.baseline is not None else ""
    return [_shown(figure.value), figure.unit, baseline, ratio, figure.baseline_name]


def _shown(value: float) -> str:
    return f"{value:,.3f}" if value < 10 else f"{value:,.1f}"


def write_figures(sections: Mapping[str, Sequence[Figure]], path: Path) -> None:
    """Write ``{name: {value, unit, baseline, ratio}}``. Raises ValueError when two figures have one name."""
    content: dict[str, dict[str, float | str | None]] = {}
    for figure in (figure for figures in sections.values() for figure in figures):
        if figure.name in content:
            raise ValueError(f"two figures are called {figure.name!r}")
        content[figure.name] = {
            "value": figure.value,
            "unit": figure.unit,
            "baseline": figure.baseline,
            "ratio": figure.ratio,
        }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
