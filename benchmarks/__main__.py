"""``make bench``: measure on servers of its own, print a table, write benchmarks/results/latest.json.

    python -m benchmarks                   # everything
    python -m benchmarks --quick           # a reduced set
    python -m benchmarks storage latency   # these parts alone

A wrong answer ends the run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.servers import own_servers

PARTS = ("ingest", "growth", "queries", "storage", "messages", "poll", "latency", "flow", "alarms")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer and smaller runs: under a minute")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"measure these alone: {', '.join(PARTS)}")
    options = parser.parse_args()
    unknown = [name for name in options.parts if name not in PARTS]
    if unknown:
        parser.error(f"part {unknown[0]!r}: expected one of {', '.join(PARTS)}")
    with own_servers():
        return _run([name for name in PARTS if name in options.parts or not options.parts], quick=options.quick)


def _run(parts: Sequence[str], *, quick: bool) -> int:
    """Measure the parts one after the other; the exit code."""
    from benchmarks.figures import RESULTS, Figure, show_figures, write_figures
    from benchmarks.machine import describe_machine
    from benchmarks.parts import measure_part
    from benchmarks.stores import clean_store, make_template

    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    console.print(describe_machine(), style="dim")
    make_template()
    sections: dict[str, list[Figure]] = {}
    for number, name in enumerate(parts, 1):
        started = time.monotonic()
        try:
            with _show_running(f"{number} of {len(parts)}: {name}", console=console), clean_store(name):
                sections[name] = measure_part(name, quick=quick)
        except AssertionError as error:
            console.print(f"✗ {name}: wrong, so there is no figure: {error}", style="red", markup=False)
            return 1
        console.print(f"✓ {name}  ({time.monotonic() - started:.0f} s)")
    show_figures(sections, console=console)
    write_figures(sections, RESULTS)
    console.print(f"written to {RESULTS}")
    return 0


@contextmanager
def _show_running(text: str, *, console: Console) -> Iterator[None]:
    """A line that turns and counts the seconds, on a terminal."""
    columns = SpinnerColumn(), TextColumn(text), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task("")
        yield


if __name__ == "__main__":
    sys.exit(main())
