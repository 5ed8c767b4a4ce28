"""From what a caller writes to rows: the query languages, what they select, and the lists that are made of it.

The way of a question: ``simple`` (text to typed conditions) → ``filters.SampleFilter`` → ``conditions`` (SQL, in one place, always
with the caller's ``Scope``) → ``samples``, ``meters``, ``resources`` (one statement each), or ``metering.statistics``.
"""

from .errors import InvalidInput, QueryError, TooExpensive, TooManyRows, UnknownArgument
from .filters import SampleFilter, Scope

__all__ = [
    "InvalidInput",
    "QueryError",
    "SampleFilter",
    "Scope",
    "TooExpensive",
    "TooManyRows",
    "UnknownArgument",
]
