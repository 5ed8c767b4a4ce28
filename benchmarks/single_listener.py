"""``python -m benchmarks.single_listener``: the listener with one notification in each task, for comparison."""

from __future__ import annotations

import runpy
import sys

from agents.notifications import listener
from config.env import REPOSITORY

if __name__ == "__main__":
    listener._LETTERS_PER_BUNDLE = 1
    sys.argv = ["manage.py", "listen"]
    runpy.run_path(str(REPOSITORY / "manage.py"), run_name="__main__")
