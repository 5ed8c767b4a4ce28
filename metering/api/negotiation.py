"""JSON for programs, a page for browsers: chosen by the Accept header alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from rest_framework.exceptions import NotAcceptable
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from metering.queries.errors import shorten

__all__ = ["AcceptNegotiation"]


class _Range(NamedTuple):
    """One entry of an Accept header, such as ``text/*;q=0.5``."""

    type: str
    subtype: str
    quality: float

    def specificity(self, media_type: str) -> int:
        """How exactly it names the media type: 2 itself, 1 its family, 0 anything, -1 not at all."""
        main, _, sub = media_type.partition("/")
        if (self.type, self.subtype) == (main, sub):
            return 2
        if (self.type, self.subtype) == (main, "*"):
            return 1
        return 0 if (self.type, self.subtype) == ("*", "*") else -1


class AcceptNegotiation(BaseContentNegotiation):
    """The renderer that the client likes best; of equally liked ones that which it names first, else the first, JSON.

    So ``*/*`` and no header at all mean JSON, a browser's header means the page, and a header that admits neither is refused.
    """

    def select_parser(self, request: Request, parsers: Sequence[Any]) -> Any:
        return None

    def select_renderer(
        self, request: Request, renderers: Sequence[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        header = request.META.get("HTTP_ACCEPT", "").strip()
        ranges = _parse(header) if header else [_Range("*", "*", 1.0)]
        ranked = []
        for order, renderer in enumerate(renderers):
            matches = [(accepted.specificity(renderer.media_type), -place) for place, accepted in enumerate(ranges)]
            specificity, place = max(matches, default=(-1, 0))
            if specificity >= 0 and ranges[-place].quality > 0:
                # What is named outright stands before what a wildcard admits.
                ranked.append((-ranges[-place].quality, -place if specificity == 2 else len(ranges), order, renderer))
        if not ranked:
            refusal = NotAcceptable(
                f"Accept: {shorten(header)}: expected one that admits application/json", available_renderers=renderers
            )
            refusal.value = shorten(header)  # type: ignore[attr-defined]
            raise refusal
        chosen = min(ranked, key=lambda entry: entry[:3])[3]
        return chosen, chosen.media_type


def _parse(header: str) -> list[_Range]:
    ranges = []
    for entry in header.split(","):
        media_type, *parameters = (part.strip().lower() for part in entry.split(";"))
        main, _, sub = media_type.partition("/")
        quality = next((text for name, _, text in (p.partition("=") for p in parameters) if name.strip() == "q"), "1")
        ranges.append(_Range(main, sub or ("*" if main == "*" else ""), _quality(quality)))
    return ranges


def _quality(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return 0.0
    return value if 0 <= value <= 1 else 0.0
