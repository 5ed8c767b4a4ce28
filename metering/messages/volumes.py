"""The one decimal grammar of volumes: exact text from the pollster to the store.

``-?(0|[1-9][0-9]*)(\\.[0-9]+)?``, at most 64 characters, no exponent, no plus sign, no negative zero. Integers above
2^53 and long fractions travel unchanged; trailing zeros are kept (``1.50`` stays ``1.50``).
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

from .errors import BadVolume

__all__ = ["VOLUME_MAX_LENGTH", "VOLUME_PATTERN", "volume_text"]

VOLUME_MAX_LENGTH = 64
VOLUME_PATTERN = r"^(?!-0(\.0*)?$)-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
_matches_volume = re.compile(VOLUME_PATTERN.removesuffix("$") + r"\Z").match


def volume_text(value: int | float | Decimal | str) -> str:
    """Return the volume as text in our grammar, exactly the value given.

    A float becomes its shortest decimal form (``0.1`` is ``"0.1"``). Raises BadVolume for booleans, NaN, infinities,
    text that is not a number, and numbers longer than 64 characters when written out.
    """
    if type(value) is int:
        text = str(value) if -_LARGEST < value < _LARGEST else "too long"
    elif isinstance(value, bool):
        raise BadVolume(f"volume {value!r}: expected a number, not a boolean")
    else:
        text = _plain_text(value)
    if len(text) > VOLUME_MAX_LENGTH or not _matches_volume(text):
        raise BadVolume(
            f"volume {str(value)[:80]!r}: expected a decimal number of at most {VOLUME_MAX_LENGTH} characters"
        )
    return text


_LARGEST = 10**VOLUME_MAX_LENGTH


def _plain_text(value: float | Decimal | str) -> str:
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except (InvalidOperation, ValueError, TypeError) as error:
        raise BadVolume(f"volume {str(value)[:80]!r}: expected a decimal number") from error
    if not number.is_finite():
        raise BadVolume(f"volume {str(value)[:80]!r}: expected a finite number")
    if not -VOLUME_MAX_LENGTH <= number.adjusted() <= VOLUME_MAX_LENGTH:
        raise BadVolume(f"volume {str(value)[:80]!r}: expected at most {VOLUME_MAX_LENGTH} characters when written out")
    if number.is_zero():
        number = abs(number)
    text = format(number, "f")
    if isinstance(value, float) and text.endswith(".0"):
        return text.removesuffix(".0")
    return text
