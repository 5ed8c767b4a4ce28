"""The agents as an app of Django: their commands, and what ``manage.py check`` says of the files that operators write."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from .definition_files import BadDefinitions

__all__ = ["AgentsConfig"]


class AgentsConfig(AppConfig):
    name = "agents"

    def ready(self) -> None:
        # Other commands check, too, and have nothing to do with these files: a mistake in them shall not keep an operator from any.
        if sys.argv[1:2] == ["check"]:
            register(check_definitions)


def check_definitions(**_: Any) -> list[CheckMessage]:
    """Every mistake in the definitions and pipelines is an error with its line, what is hardly meant a warning."""
    from .checking import check_files
    from .node import own_directory

    try:
        checked = check_files(own_directory(), Path(settings.CELOMETER_DEFAULTS_DIR))
    except BadDefinitions as error:
        return [Error(str(mistake), id="agents.E001") for mistake in error.mistakes]
    return [Warning(str(warning), id="agents.W001") for warning in checked.warnings]
