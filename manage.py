#!/usr/bin/env python
"""Celometer's command line. Commands of the agents (poll, outbox) run without a database."""

from __future__ import annotations

import sys

from config import env


def main() -> None:
    env.select_settings(sys.argv[1] if len(sys.argv) > 1 else "")
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except env.BadSetting as error:
        sys.exit(f"celometer: {error}")


if __name__ == "__main__":
    main()
