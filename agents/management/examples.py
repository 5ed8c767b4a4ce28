"""Commands whose help ends with examples."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import BaseCommand, CommandParser, DjangoHelpFormatter

__all__ = ["CommandWithExamples"]

_TITLE = "examples:"


class CommandWithExamples(BaseCommand):
    """``examples`` are lines as one types them."""

    examples: ClassVar[tuple[str, ...]] = ()

    def create_parser(self, prog_name: str, subcommand: str, **options: Any) -> CommandParser:
        epilog = "\n  ".join((_TITLE, *self.examples))
        return super().create_parser(prog_name, subcommand, epilog=epilog, formatter_class=_Formatter, **options)


class _Formatter(DjangoHelpFormatter):
    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith(_TITLE) else super()._fill_text(text, width, indent)
