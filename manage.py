#!/usr/bin/env python
"""Celometer's command line. Commands of the agents (poll, outbox) run without a database."""

from __future__ import annotations

import importlib
import os
import select
import signal
import sys

from config import env


def main() -> None:
    try:
        env.select_settings(sys.argv[1] if len(sys.argv) > 1 else "")
        # Whoever sends a task must know this app: without it Celery would make one of its own, on a broker of its own choice.
        importlib.import_module("config.celery")
        importlib.import_module("django.core.management").execute_from_command_line(sys.argv)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _has_reader_gone():
            raise
        # `| head` has seen enough: nobody is left to be told, not even by the interpreter's last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except env.BadSetting as error:
        sys.exit(f"celometer: {error}")
    except importlib.import_module("django.db").OperationalError as error:
        sys.exit(f"celometer: the store does not answer: {_first_line(error)}{_hint()}")


def _has_reader_gone() -> bool:
    """Whether it is standard output that broke, and no connection of ours."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def _hint() -> str:
    if env.database_url():
        return ""
    return f"\nNothing of Celometer runs on {env.home()}: `make up` starts it there; or set CELOMETER_DATABASE_URL."


if __name__ == "__main__":
    main()
