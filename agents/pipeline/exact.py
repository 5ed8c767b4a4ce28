"""How transformers calculate: in decimals of 100 digits, so that every worker gets the same result, and the exact one wherever there is
one.

A result that came out exactly keeps all its digits, if they fit into a volume (64 characters). Any other is rounded to 28 significant
digits, half to even; where it would still be longer, to 61 places behind the point. Zeros at the end of a fraction are left out: 2.0 is
``2``.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal, DivisionByZero, Inexact, InvalidOperation, Overflow, localcontext

from metering.messages.volumes import VOLUME_MAX_LENGTH

__all__ = ["CalculationFailed", "calculate", "calculate_part"]

_DIGITS = 100
_ROUNDED_DIGITS = 28
_PLACES = 61  # "-0." and these are 64 characters
_LARGEST_EXPONENT = 999
_PLACE = Decimal(1).scaleb(-_PLACES)


class CalculationFailed(Exception):
    """There is no result: division by zero, too large a number, something that is no number."""


# Bounded in digits and in size, so that no expression can take long.
_CALCULATING = Context(
    prec=_DIGITS,
    Emax=_LARGEST_EXPONENT,
    Emin=-_LARGEST_EXPONENT,
    traps=[InvalidOperation, DivisionByZero, Overflow],
)
_ROUNDING = Context(prec=_ROUNDED_DIGITS, Emax=_LARGEST_EXPONENT, Emin=-_LARGEST_EXPONENT, traps=[])
_PLACING = Context(prec=2 * _DIGITS, Emax=_LARGEST_EXPONENT, Emin=-_LARGEST_EXPONENT, traps=[])


def calculate(work: Callable[[], Decimal]) -> str:
    """Run ``work`` in the context of calculations; its result as a volume. Raises CalculationFailed."""
    number, is_exact = _run(work)
    return _volume_of(number, is_exact=is_exact)


def calculate_part(work: Callable[[], Decimal]) -> str:
    """The same for what is no result yet: with all 100 digits, as text that Decimal reads."""
    return str(_run(work)[0])


def _run(work: Callable[[], Decimal]) -> tuple[Decimal, bool]:
    try:
        with localcontext(_CALCULATING) as context:
            number = work()
            is_exact = not context.flags[Inexact]
    except DivisionByZero as error:
        raise CalculationFailed("a division by zero") from error
    except Overflow as error:
        raise CalculationFailed("too large a number") from error
    except InvalidOperation as error:
        raise CalculationFailed("no number comes out") from error
    if not number.is_finite():
        raise CalculationFailed("no number comes out")
    return number, is_exact


def _volume_of(number: Decimal, *, is_exact: bool) -> str:
    if is_exact:
        text = _text(number)
        if len(text) <= VOLUME_MAX_LENGTH:
            return text
    text = _text(_ROUNDING.plus(number))
    if len(text) > VOLUME_MAX_LENGTH:
        if number.adjusted() >= VOLUME_MAX_LENGTH - 1:
            raise CalculationFailed("too large a number")
        text = _text(_PLACING.quantize(number, _PLACE))
    return text


def _text(number: Decimal) -> str:
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
