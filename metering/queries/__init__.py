"""From what a caller writes to rows: the query languages, what they select, and the lists that are made of it.

The way of a question: ``simple`` (text to typed conditions) → ``filters.SampleFilter`` → ``conditions`` (SQL, in one place, always
with the caller's ``Scope``) → ``samples``, ``meters``, ``resources`` (one statement each), or ``metering.statistics``. That of a complex
one: ``complex`` (text to a tree) → ``expressions`` (SQL) → ``search``. Samples in the order of time are found by ``walks``.
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
