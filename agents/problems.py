"""Problems that come with every second message: each kind is told once, then counted."""

from __future__ import annotations

import logging
from collections import Counter

__all__ = ["ProblemLog"]

logger = logging.getLogger(__name__)

# More kinds than an operator reads. What comes on top is counted together.
_MOST_KINDS = 500
_OTHERS = ("others", "more kinds of problems than are kept apart")


class ProblemLog:
    """``report`` is given to whatever may meet problems: where, and what; the same pair is the same problem."""

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()
        self._repeated: Counter[tuple[str, str]] = Counter()

    def report(self, where: str, what: str) -> None:
        problem = (where, what)
        if problem not in self._known and len(self._known) < _MOST_KINDS:
            self._known.add(problem)
            logger.warning("%s", _line(where, what))
            return
        self._repeated[problem if problem in self._known else _OTHERS] += 1

    def note(self, where: str, what: str) -> None:
        """What is missing and hardly a problem: told once, and not counted."""
        if (where, what) not in self._known and len(self._known) < _MOST_KINDS:
            self._known.add((where, what))
            logger.info("%s", _line(where, what))

    def summary(self) -> list[str]:
        """A line for each that came again since the last summary, and how often. Where there were too many kinds, all are new again."""
        repeated, self._repeated = self._repeated, Counter()
        if _OTHERS in repeated:
            self._known.clear()
        return [f"{_line(where, what)} ({count} times more)" for (where, what), count in repeated.most_common()]


def _line(where: str, what: str) -> str:
    """One line, whatever a stranger's event type holds."""
    text = f"{where:.255}: {what:.500}"
    return text if text.isprintable() else text.encode("unicode_escape").decode()
