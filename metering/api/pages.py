"""Pages of a list: ``limit`` entries, then a link to the next ones.

An answer that is not the end of its list has the header ``Link: <URL>; rel="next"``. The URL is the request's with a ``marker`` in it:
behind which entry the next page begins; a body, where the request had one, is to be sent again as it was. Whoever follows the
links until there is none has seen every entry once, also when entries share a time, and while new samples are stored.

A marker is opaque: it holds the list's name and the values that its entries are ordered by. Another list, or the same list in
another order, does not take it.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from metering.queries.errors import InvalidInput
from metering.queries.json_text import load_json
from metering.queries.values import check_text

__all__ = ["Page", "next_link", "read_each", "read_marker", "write_marker"]


@dataclass(frozen=True, slots=True)
class Page:
    """What was asked for: at most ``limit`` entries behind the position ``after``, or from the start.

    Lists are asked for one entry more than that, ``fetch_limit``: whether it is there says whether there is a next page.
    """

    list_name: str
    limit: int
    after: tuple[Any, ...] | None = None

    @property
    def fetch_limit(self) -> int:
        return self.limit + 1


def write_marker(list_name: str, position: Sequence[Any]) -> str:
    """The marker of the entry at this position. Values are texts, None, or print as texts that their readers take."""
    values = [value.isoformat() if isinstance(value, datetime) else value for value in position]
    texts = [value if value is None else str(value) for value in values]
    return urlsafe_b64encode(json.dumps([list_name, *texts]).encode()).decode().rstrip("=")


def read_marker(
    marker: str, *, list_name: str, read_position: Callable[[Sequence[str | None]], tuple[Any, ...]]
) -> tuple[Any, ...]:
    """The position, made of the texts by ``read_position``, which raises ValueError or TypeError for texts that are none.

    Raises InvalidInput for whatever is no marker of this list.
    """
    try:
        padding = "=" * (-len(marker) % 4)
        name, *texts = load_json(urlsafe_b64decode(marker.encode("ascii") + padding.encode()).decode())
        if name != list_name or write_marker(name, texts) != marker:
            raise ValueError("of another list, or written otherwise")
        for text in texts:
            if text is not None:
                check_text("marker", text)
        return read_position(texts)
    except (ValueError, TypeError, InvalidInput) as error:
        raise InvalidInput(
            "marker", marker, "expected the marker of a Link header of this list, in this order"
        ) from error


def read_each(*readers: Callable[[str], Any]) -> Callable[[Sequence[str | None]], tuple[Any, ...]]:
    """The reader of a position whose values have a reader each."""

    def read_position(texts: Sequence[str | None]) -> tuple[Any, ...]:
        values = []
        for reader, text in zip(readers, texts, strict=True):
            if text is None:
                raise ValueError("a value is missing")
            values.append(reader(text))
        return tuple(values)

    return read_position


def next_link(url: str, query: str, marker: str) -> str:
    """The value of the header ``Link``: the URL and its query with the marker in place of the one that was there."""
    pairs = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "marker"]
    return f'<{url}?{urlencode([*pairs, ("marker", marker)])}>; rel="next"'
