"""Telling what happened: every message is a row, and rows own retries, order and disabling.

``plan`` writes what is to be told in the transaction of the transition → ``lease_due`` takes what is due, for a while → ``tasks`` signs it
and hands single attempts to the notifiers' queue → a notifier makes the attempt and reports → ``report`` ends the delivery or says when the
next attempt is due. Whoever dies between two of these steps leaves a lease that expires: a message is told at least once, always under the
same id.
"""

from .leases import Leased, lease_due
from .planning import plan
from .reports import report
from .revival import enable_action, enable_actions, send_again

__all__ = ["Leased", "enable_action", "enable_actions", "lease_due", "plan", "report", "send_again"]
