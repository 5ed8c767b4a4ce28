"""``python -m tests.support.manage COMMAND``: manage.py as a module, which is how roles of tests are started."""

from __future__ import annotations

import runpy

from config.env import REPOSITORY

if __name__ == "__main__":
    runpy.run_path(str(REPOSITORY / "manage.py"), run_name="__main__")
