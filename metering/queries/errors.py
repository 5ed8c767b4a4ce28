"""What can be wrong with a question. Every class has a stable code; texts name the value and what was expected.

The openings of several texts are interface: programs written for Ceilometer look for them.
"""

from __future__ import annotations

__all__ = [
    "FilterError",
    "InvalidInput",
    "NoLongerKept",
    "NotConvertible",
    "OrderError",
    "QueryError",
    "TooExpensive",
    "TooManyRows",
    "UnknownArgument",
    "shorten",
]

_SHOWN_CHARACTERS = 200


def shorten(value: object) -> str:
    """The value as text, cut where an answer would grow by what was sent; halves of surrogate pairs, which no answer can hold, escaped."""
    text = str(value)[: _SHOWN_CHARACTERS + 1].encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


class QueryError(Exception):
    """A question that cannot be answered as it was put. ``value`` is the offending one, as text; None where there is none."""

    code = "invalid_query"

    def __init__(self, text: str, *, value: object = None) -> None:
        super().__init__(text)
        self.text = text
        self.value = None if value is None else shorten(value)


class InvalidInput(QueryError):
    """A known field or argument with a value that it cannot have."""

    code = "invalid_input"

    def __init__(self, field: str, value: object, reason: str) -> None:
        super().__init__(f"Invalid input for field/attribute {field}. Value: '{shorten(value)}'. {reason}", value=value)


class UnknownArgument(QueryError):
    """A name that this endpoint does not know."""

    code = "unknown_argument"

    def __init__(self, name: str, reason: str = "") -> None:
        shown = f'Unknown argument: "{shorten(name)}"'
        super().__init__(f"{shown}: {reason}" if reason else shown, value=name)


class NotConvertible(QueryError):
    """A metadata value that is not of the type it was said to be."""

    code = "not_convertible"

    def __init__(self, value: str, type_name: str) -> None:
        super().__init__(
            f"Unable to convert the value {shorten(value)} to the expected data type {type_name}.", value=value
        )


class FilterError(QueryError):
    """A complex query's filter that is none."""

    code = "invalid_filter"

    def __init__(self, reason: str, *, value: object) -> None:
        super().__init__(f"Filter expression not valid: {reason}", value=value)


class OrderError(QueryError):
    """A complex query's order-by that is none."""

    code = "invalid_orderby"

    def __init__(self, reason: str, *, value: object) -> None:
        super().__init__(f"Order-by expression not valid: {reason}", value=value)


class TooManyRows(QueryError):
    """An answer larger than the server gives at once."""

    code = "too_many_rows"


class NoLongerKept(QueryError):
    """A question about samples from before the time from which they are kept."""

    code = "no_longer_kept"


class TooExpensive(QueryError):
    """The store was told to stop: the question took longer than one may take."""

    code = "query_timeout"
