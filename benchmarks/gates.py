"""What ends a run: a wrong answer has no speed."""

from __future__ import annotations

__all__ = ["WrongAnswer", "expect"]


class WrongAnswer(AssertionError):
    """A correctness gate found something else than it expected; the text names both."""


def expect(what: str, found: object, expected: object) -> None:
    """The gate before a figure: raise WrongAnswer unless the two are equal."""
    if found != expected:
        raise WrongAnswer(f"{what}: {found}, expected {expected}")
