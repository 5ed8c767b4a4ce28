"""Why a verified message may still not be stored. Codes are stable: the quarantine shows them."""

from __future__ import annotations

from metering.messages import MessageRefused

__all__ = [
    "BelowFloor",
    "BeyondClockSkew",
    "ConflictingBatch",
    "KeyNotValid",
    "KeyReused",
    "OutOfScope",
    "PartitionMissing",
    "PolicyRefused",
    "StoreAway",
    "StoreRefused",
    "TimeOutOfBounds",
    "TooManyWeeks",
    "UnknownKey",
]


class UnknownKey(MessageRefused):
    """No agent is enrolled with this key under this name."""

    code = "unknown_key"


class PolicyRefused(MessageRefused):
    """Genuine, but against a rule that an operator may waive when releasing it."""

    code = "policy"


class KeyNotValid(PolicyRefused):
    """The key is revoked, or not valid at this time."""

    code = "key_not_valid"


class OutOfScope(PolicyRefused):
    """A source or project that this key may not sign for."""

    code = "out_of_scope"


class BeyondClockSkew(PolicyRefused):
    """The agent's clock runs ahead by more than the policy allows."""

    code = "clock_skew"


class TimeOutOfBounds(PolicyRefused):
    """A sample, event or batch before the floor date or too far in the future."""

    code = "time_out_of_bounds"


class TooManyWeeks(PolicyRefused):
    """Samples or events of more weeks than one batch may hold: each week may need partitions made for it."""

    code = "too_many_weeks"


class BelowFloor(MessageRefused):
    """Samples, events, or a batch id, of a time whose data has been dropped by retention; not even an operator can let them in."""

    code = "below_floor"


class ConflictingBatch(MessageRefused):
    """Another batch with this id is in the ledger already; the first one counts."""

    code = "conflicting_batch"


class StoreRefused(MessageRefused):
    """The store cannot hold this message, whatever the time; the detail is its own word."""

    code = "store_refused"


class KeyReused(Exception):
    """A post's key that belongs to another request of the same user."""


class PartitionMissing(Exception):
    """There is no partition yet for some time in the batch."""


class StoreAway(Exception):
    """The store cannot be reached or is busy; the same message may succeed later."""
