"""`make demo`: everything started, thirty days of a make-believe cloud in the store, and questions worth asking with their answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.table import Table

from config import env
from config.launch.errors import LaunchError
from config.launch.home import Home
from config.launch.summary import OPENER, base_url

__all__ = ["fill_store", "show_questions"]

_DAYS = 30
_ANSWER_SECONDS = 60.0
_ROWS_SHOWN = 7


@dataclass(frozen=True)
class _Question:
    """A question in words and as a request, and which parts of an answer's row are worth a column."""

    words: str
    path: str
    arguments: tuple[tuple[str, str], ...]
    columns: Mapping[str, tuple[str, ...]]

    @property
    def target(self) -> str:
        return f"{self.path}?{urllib.parse.urlencode(self.arguments, safe=':')}"


def fill_store() -> None:
    """Thirty days of a small cloud, ending today; nothing where they are already. Raises LaunchError."""
    command = [sys.executable, "manage.py", "simulate", "--nodes", "3", "--days", str(_DAYS), "--fast", "--once"]
    # What it says about each batch is for a log; here the progress bar speaks.
    done = subprocess.run(
        command,
        cwd=env.REPOSITORY,
        env={**os.environ, "CELOMETER_SETTINGS": "server", "CELOMETER_LOG_LEVEL": "WARNING"},
        check=False,
    )
    if done.returncode:
        raise LaunchError("the simulated cloud could not be stored: see above")


def show_questions(home: Home, *, port: int) -> None:
    """Ask each question and print it as it can be typed, with what the API answered. Raises LaunchError."""
    console = Console()
    token = home.token_file.read_text().strip()
    for question in _questions(datetime.now(UTC)):
        rows, seconds = _ask(f"{base_url(port)}{question.target}", token=token)
        console.print(f"\n[bold]{question.words}[/bold]  ({seconds * 1000:.0f} ms)")
        console.print(
            f"  curl -H 'X-Auth-Token: {token}' '{base_url(port)}{question.target}'",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )
        console.print(_table(question, rows))
    console.print(f"\nMore: {base_url(port)}/v2/meters in a browser. `make down` stops everything.")


def _questions(now: datetime) -> Iterable[_Question]:
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    month = _since(today - timedelta(days=_DAYS - 1))
    week = _since(today - timedelta(days=6))
    yield _Question(
        "What to bill: vCPU hours and instances of each project in thirty days",
        "/v2/meters/vcpus/statistics",
        (
            *(("groupby", "project_id"), *month),
            *(("aggregate.func", "integral"), ("aggregate.func", "max"), ("aggregate.func", "cardinality")),
            *(("aggregate.param", ""), ("aggregate.param", ""), ("aggregate.param", "resource_id")),
        ),
        {
            "project": ("groupby", "project_id"),
            "vCPU hours": ("aggregate", "integral"),
            "largest": ("aggregate", "max"),
            "instances": ("aggregate", "cardinality/resource_id"),
        },
    )
    yield _Question(
        "What was sent, day by day of the last week, restarts and migrations not lost",
        "/v2/meters/network.outgoing.bytes/statistics",
        (("period", "day"), ("aggregate.func", "increase"), ("aggregate.func", "count"), *week),
        {
            "day": ("period_start",),
            "sent": ("aggregate", "increase"),
            "unit": ("unit",),
            "samples": ("aggregate", "count"),
        },
    )
    yield _Question(
        "The newest samples of CPU time of all instances of the flavor m1.large",
        "/v2/meters/cpu",
        (("q.field", "resource_metadata.flavor.name"), ("q.op", "eq"), ("q.value", "m1.large"), ("limit", "5")),
        {
            "time": ("timestamp",),
            "instance": ("resource_metadata", "display_name"),
            "node": ("resource_metadata", "instance_host"),
            "volume": ("counter_volume",),
            "unit": ("counter_unit",),
        },
    )


def _since(moment: datetime) -> tuple[tuple[str, str], ...]:
    return ("q.field", "timestamp"), ("q.op", "ge"), ("q.value", f"{moment:%Y-%m-%dT%H:%M:%S}")


def _ask(url: str, *, token: str) -> tuple[list[dict[str, Any]], float]:
    """The rows of an answer, and how long it took."""
    request = urllib.request.Request(url, headers={"X-Auth-Token": token, "Accept": "application/json"})
    started = time.monotonic()
    try:
        with OPENER.open(request, timeout=_ANSWER_SECONDS) as response:
            rows: list[dict[str, Any]] = json.load(response)
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise LaunchError(f"{url}: {error}") from error
    return rows, time.monotonic() - started


def _table(question: _Question, rows: list[dict[str, Any]]) -> Table:
    table = Table()
    for heading in question.columns:
        table.add_column(heading, no_wrap=True)
    for row in rows[:_ROWS_SHOWN]:
        table.add_row(*(_text(row, path) for path in question.columns.values()))
    if len(rows) > _ROWS_SHOWN:
        table.add_row("…")
    return table


def _text(row: dict[str, Any], path: tuple[str, ...]) -> str:
    value: Any = row
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    if path[-1] in ("period_start", "timestamp"):
        return str(value)[:16].replace("T", " ")
    return f"{value:,.2f}".removesuffix(".00") if isinstance(value, float) else str(value)
