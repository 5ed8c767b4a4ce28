#!/usr/bin/env python
"""Celometer's command line. Commands of the agents (poll, outbox) run without a database."""

from __future__ import annotations

import importlib
import sys

from config import env


def main() -> None:
    try:
        env.select_settings(sys.argv[1] if len(sys.argv) > 1 else "")
        # Whoever sends a task must know this app: without it Celery would make one of its own, on a broker of its own choice.
        importlib.import_module("config.celery")
        importlib.import_module("django.core.management").execute_from_command_line(sys.argv)
    except env.BadSetting as error:
        sys.exit(f"celometer: {error}")


if __name__ == "__main__":
    main()
