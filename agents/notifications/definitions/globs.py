"""Shell globs over event types, and which of them can never come to anything."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

__all__ = ["Globs", "covers"]


class Globs:
    """Globs of which one must match, and those with ``!`` of which none may; nothing but exclusions: everything else."""

    def __init__(self, globs: Sequence[str]) -> None:
        self.excluded = [glob[1:] for glob in globs if glob.startswith("!")]
        self.included = [glob for glob in globs if not glob.startswith("!")] or ["*"]

    def match(self, text: str) -> bool:
        return any(fnmatchcase(text, glob) for glob in self.included) and not any(
            fnmatchcase(text, glob) for glob in self.excluded
        )

    def are_shadowed_by(self, others: Sequence[Globs]) -> list[Globs]:
        """Those of ``others`` that together match all that these match; [] where something may be left."""
        shadowing = []
        for glob in self.included:
            other = next((other for other in others if other._take_all_of(glob, self.excluded)), None)
            if other is None:
                return []
            if other not in shadowing:
                shadowing.append(other)
        return shadowing

    def _take_all_of(self, glob: str, excluded: Sequence[str]) -> bool:
        return all(any(covers(mine, their) for mine in excluded) for their in self.excluded) and any(
            covers(own, glob) for own in self.included
        )


def covers(wider: str, narrower: str) -> bool:
    """Whether the one glob surely matches all that the other matches. Where ``?`` or ``[`` make it hard to say, it is False."""
    if wider == narrower or wider == "*":
        return True
    if any(sign in wider for sign in "?[") or "[" in narrower:
        return False
    # The signs of the narrower one stand for themselves here: only a star of the wider one can take them.
    return fnmatchcase(narrower, wider)
