"""All that the author of a notifier imports: what it is given, and what it says came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol, get_args

__all__ = ["NOTIFY_TASK", "REPORT_TASK", "BadReport", "Kind", "Message", "Notifier", "Outcome"]

NOTIFY_TASK = "alarms.notify"
REPORT_TASK = "alarms.report"
# delivered: whoever is at the URL has it. failed: it may succeed later. gone: the URL wants no more of this alarm. impossible: this message
# will never get through to this URL (it is none).
Kind = Literal["delivered", "failed", "gone", "impossible"]
_MAX_TEXT = 500
_MAX_SECONDS = 86_400


class BadReport(Exception):
    """What claims to be an outcome and is none; the text says what was expected."""


class Message(NamedTuple):
    """What is to be told, and where. ``headers`` hold the signature and ids, ready to be sent; names in lower case."""

    url: str
    body: bytes
    headers: Mapping[str, str]


class Outcome(NamedTuple):
    """What came of an attempt. ``text`` is for the alarm's owner: no address that a name resolved to, nothing of what was answered."""

    kind: Kind
    text: str
    status: int | None = None
    retry_after_seconds: float | None = None
    duration_ms: int | None = None

    @classmethod
    def from_json(cls, raw: Any) -> Outcome:
        """Read what a notifier reports. Raises BadReport for anything that a notifier of ours would not send."""
        if not isinstance(raw, dict) or raw.keys() != set(cls._fields):
            raise BadReport(f"outcome {raw!r:.200}: expected an object with {', '.join(cls._fields)}")
        if raw["kind"] not in get_args(Kind) or not isinstance(raw["text"], str):
            raise BadReport(f"outcome {raw!r:.200}: expected a kind of {', '.join(get_args(Kind))}, and a text")
        for name, most in (("status", 999), ("duration_ms", 1000 * _MAX_SECONDS)):
            if raw[name] is not None and not (type(raw[name]) is int and 0 <= raw[name] <= most):
                raise BadReport(f"outcome {raw!r:.200}: expected {name} as a whole number, at most {most}")
        pause = raw["retry_after_seconds"]
        if pause is not None and not (type(pause) in (int, float) and math.isfinite(pause) and pause >= 0):
            raise BadReport(f"outcome {raw!r:.200}: expected retry_after_seconds as a number")
        text = raw["text"].replace("\x00", "")[:_MAX_TEXT]
        return cls(**raw | {"text": text, "retry_after_seconds": None if pause is None else min(pause, _MAX_SECONDS)})


class Notifier(Protocol):
    """Tells somebody; made without arguments. One object for all attempts of a process, used by many threads at once."""

    def notify(self, message: Message, *, timeout_seconds: float) -> Outcome:
        """Make one attempt, within this time, whatever the other side does. Told once more with the same id if in doubt."""
        ...
