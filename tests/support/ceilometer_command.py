"""python-ceilometerclient's command, run as a user runs it, and its printed tables read back."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

__all__ = ["Ceilometer", "read_rows", "read_table"]


@dataclass(frozen=True)
class Ceilometer:
    """The command with an endpoint and a token, without Keystone."""

    url: str
    token: str

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OS_", "CEILOMETER_"))}
        return subprocess.run(
            [str(Path(sys.executable).with_name("ceilometer")), *arguments],
            env={**kept, "OS_TOKEN": self.token, "CEILOMETER_URL": self.url, "PYTHONWARNINGS": "ignore"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def table(self, *arguments: str) -> list[dict[str, str]]:
        """What the command prints, as rows by column. It must succeed, without a word beside."""
        return read_table(self._printed(*arguments))

    def properties(self, *arguments: str) -> dict[str, str]:
        """The same for a single thing, which is printed as a table of Property and Value."""
        return {row["Property"]: row["Value"] for row in read_table(self._printed(*arguments))}

    def error(self, *arguments: str) -> str:
        """What the command complains about. It must fail, and print nothing."""
        done = self.run(*arguments)
        assert (done.returncode, done.stdout) == (1, ""), done
        return done.stderr.strip()

    def _printed(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout


def read_table(text: str) -> list[dict[str, str]]:
    """Rows of a printed table; a cell that goes on in further lines has them joined by blanks."""
    columns, *lines = read_rows(text)
    rows: list[dict[str, str]] = []
    for cells in lines:
        if rows and not cells[0]:
            for name, cell in zip(columns, cells, strict=True):
                rows[-1][name] = f"{rows[-1][name]} {cell}".strip()
        else:
            rows.append(dict(zip(columns, cells, strict=True)))
    return rows


def read_rows(text: str) -> list[list[str]]:
    """The cells of each line, the heading first. A cell that is a table itself has its bars, which count as its text."""
    lines = text.strip().splitlines()
    edges = [place for place, character in enumerate(lines[0]) if character == "+"]
    return [[line[low + 1 : high].strip() for low, high in pairwise(edges)] for line in lines if line.startswith("|")]
